"""When a cluster is stopped because most of its windows failed."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from backfill_pipeline.domain.breaker import REMEMBERED, Ends, is_failing, remembered
from backfill_pipeline.domain.retries import Ended, Of, Outcome

START = datetime(2026, 1, 20, tzinfo=UTC)


def ends(marks: str, cluster: str = "north", first: int = 0) -> list[Outcome]:
    """A window per letter: D done, F failed, C cancelled."""
    how = {"D": Ended.DONE, "F": Ended.FAILED, "C": Ended.CANCELLED}
    return [
        Outcome(
            Of(cluster, f"c{n}", "conversations"),
            (date(2026, 1, 1),),
            f"{cluster}-{n}",
            how[mark],
            START + timedelta(minutes=n),
        )
        for n, mark in enumerate(marks, first)
    ]


def north(outcomes: Iterable[Outcome], since: float = 0.0) -> str | None:
    return is_failing(remembered({}, outcomes).get("north", ()), since)


def test_a_cluster_is_not_hurt_further_when_most_of_its_windows_fail() -> None:
    assert north(ends("F" * 11 + "D" * 9)) == "11 of its last 20 windows failed"


def test_a_few_failures_or_a_few_windows_stop_nobody() -> None:
    assert north(ends("F" * 10 + "D" * 10)) is None
    assert north(ends("F" * 19)) is None
    assert north([]) is None


def test_windows_that_a_person_cancelled_stop_nobody() -> None:
    assert north(ends("C" * 30 + "F" * 19)) is None


def test_a_window_that_is_told_twice_counts_once() -> None:
    known: Ends = {}
    for _ in range(5):
        known = remembered(known, ends("F" * 10))
    assert is_failing(known["north"]) is None


def test_a_window_with_some_good_days_has_failed_in_whichever_order_it_is_told() -> None:
    done, failed = ends("D")[0], ends("F")[0]
    for both in ([done, failed], [failed, done]):
        assert [e.failed for e in remembered({}, both)["north"]] == [True]


def test_a_window_that_is_tried_again_and_again_counts_once_as_its_last_try_ended() -> None:
    """One customer that waits for a system of its own must not stop all others of its cluster."""
    known: Ends = {}
    for n, mark in enumerate("F" * 40 + "D"):
        known = remembered(known, [replace(o, run_id=f"try-{n}", ended_at=START + timedelta(n)) for o in ends(mark)])
    assert [e.failed for e in known["north"]] == [False]
    assert is_failing(remembered(known, ends("F"))["north"]) is None


def test_one_clusters_failures_do_not_stop_another() -> None:
    known = remembered({}, [*ends("F" * 25), *ends("D" * 25, "south")])
    assert is_failing(known["north"])
    assert is_failing(known["south"]) is None


def test_a_resumed_cluster_is_not_stopped_again_by_what_failed_before() -> None:
    outcomes = [*ends("F" * 25), *ends("F" * 19, first=25)]
    resumed = (START + timedelta(minutes=24)).timestamp()
    assert north(outcomes, resumed) is None
    assert north([*outcomes, *ends("F", first=44)], resumed)


def test_a_bad_hour_long_ago_is_forgotten() -> None:
    found = remembered({}, [*ends("F" * 30), *ends("D" * REMEMBERED, first=30)])["north"]
    assert len(found) == REMEMBERED
    assert not any(e.failed for e in found)
