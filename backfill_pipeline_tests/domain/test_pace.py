"""How long it will take is told from what was done, and not at all where nothing was."""

import pytest

from backfill_pipeline.domain.pace import Pace, pace_of, side_by_side
from backfill_pipeline.domain.retries import Of

ACME, GLOBEX = Of("north", "acme", "labels"), Of("north", "globex", "labels")
SEEN = Pace(windows=2, rows=1000, writing_seconds=10.0, other_seconds=4.0)


def test_what_was_never_done_takes_no_time() -> None:
    assert Pace().seconds_of(100, 1) is None
    assert Pace(windows=1, rows=0, writing_seconds=1.0).seconds_of(100, 1) is None
    assert Pace(windows=1, rows=5, writing_seconds=0.0).rows_per_second is None


def test_many_small_windows_take_as_long_as_one_large_one() -> None:
    assert SEEN.seconds_of(500, 1) == pytest.approx(7.0)
    assert SEEN.seconds_of(500, 10) == pytest.approx(25.0)
    assert SEEN.seconds_of(0, 1) == pytest.approx(2.0)


def test_a_new_customer_is_measured_by_another_dataset_or_cluster() -> None:
    assert pace_of({ACME: SEEN}, GLOBEX) == SEEN
    assert pace_of({ACME: SEEN, GLOBEX: Pace(1)}, GLOBEX) == Pace(1)
    assert pace_of({ACME: SEEN}, Of("north", "globex", "conversations")) == Pace()
    assert pace_of({ACME: SEEN}, Of("south", "globex", "labels")) == Pace()


def test_a_customers_runs_are_counted_as_if_they_went_at_once() -> None:
    assert side_by_side([("acme", 10.0), ("acme", 10.0), ("globex", 10.0)], 3) == 20.0
    assert side_by_side([("a", 10.0), ("b", 10.0), ("c", 10.0), ("d", 10.0)], 2) == 20.0
    assert side_by_side([("acme", 10.0), ("globex", None)], 2) is None
    assert side_by_side([], 2) == 0.0
