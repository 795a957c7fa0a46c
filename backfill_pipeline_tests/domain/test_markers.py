import itertools
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill_pipeline.domain.markers import (
    MAX_SCALE,
    SPACING_UNITS,
    draw_marker,
    future_of,
    row_version,
    spacing,
    truncated,
    unit,
)
from backfill_pipeline_tests.domain.strategies import scales, utc_moments

clocks = st.lists(utc_moments, min_size=2, max_size=6)  # also backwards: a failover to a replica whose clock is behind
skews = st.integers(0, 60_000).map(lambda ms: timedelta(milliseconds=ms))
tries = st.integers(1, SPACING_UNITS - 1)


def drawn(clock: list[datetime], skew: timedelta, scale: int) -> list[datetime]:
    """Markers of attempts one after the other, each knowing the last."""
    markers: list[datetime] = []
    for now in clock:
        markers.append(draw_marker(markers[-1] if markers else None, now, skew, scale))
    return markers


@given(utc_moments, skews, scales, tries)
def test_rows_of_an_attempt_never_count_as_rows_of_the_future(
    now: datetime, skew: timedelta, scale: int, tried: int
) -> None:
    marker = draw_marker(None, now, skew, scale)
    assert row_version(marker, tried, scale) < future_of(marker, skew).above
    assert now < future_of(marker, skew).above + unit(scale)


@given(clocks, skews, scales)
def test_a_row_of_a_live_writer_is_never_from_the_future_at_the_moment_of_the_question(
    clock: list[datetime], skew: timedelta, scale: int
) -> None:
    drawn_at, *asked = clock
    future = future_of(draw_marker(None, drawn_at, skew, scale), skew)
    for now in asked:
        assert now + skew < future.at(now).above
        assert future.at(now).above >= future.above, "a clock that goes back makes nothing a row from the future"


@given(clocks, skews, scales, tries)
def test_d2_an_older_attempts_rows_never_outlive_the_next_delete(
    clock: list[datetime], skew: timedelta, scale: int, tried: int
) -> None:
    markers = drawn(clock, skew, scale)
    for earlier, later in itertools.pairwise(markers):
        assert row_version(earlier, tried, scale) < later
        assert later - earlier >= spacing(scale)


@given(clocks, skews, scales, tries)
def test_d2_a_repeated_delete_never_takes_its_own_attempts_rows(
    clock: list[datetime], skew: timedelta, scale: int, tried: int
) -> None:
    for marker in drawn(clock, skew, scale):
        as_stored = truncated(row_version(marker, tried, scale), scale)
        assert not as_stored < marker


@given(clocks, skews, scales)
def test_a_marker_that_the_column_can_not_hold_is_never_drawn(
    clock: list[datetime], skew: timedelta, scale: int
) -> None:
    for marker in drawn(clock, skew, scale):
        assert truncated(marker, scale) == marker
        assert marker.microsecond % (unit(scale).total_seconds() * 10**MAX_SCALE) == 0


@given(clocks, skews, scales)
def test_rows_of_live_writers_are_not_deleted_unless_an_earlier_marker_pushed_it(
    clock: list[datetime], skew: timedelta, scale: int
) -> None:
    markers = drawn(clock, skew, scale)
    for last, marker, now in zip([None, *markers], markers, clock, strict=False):
        newest = now - skew
        if marker > newest:
            assert last is not None
            assert marker == last + spacing(scale)
        else:
            assert newest - marker < unit(scale)


@given(utc_moments, scales)
def test_rounding_never_moves_a_marker_up(moment: datetime, scale: int) -> None:
    assert timedelta(0) <= moment - truncated(moment, scale) < unit(scale)


@given(utc_moments, st.integers(1, SPACING_UNITS - 2))
def test_t3_a_try_thought_dead_never_wins_against_its_retry(marker: datetime, tried: int) -> None:
    assert marker < row_version(marker, tried) < row_version(marker, tried + 1) < marker + spacing(MAX_SCALE)


@given(utc_moments, st.integers(0, MAX_SCALE - 1), tries)
def test_a_coarser_column_gets_the_marker_alone_as_it_has_no_room_for_tries(
    moment: datetime, scale: int, tried: int
) -> None:
    marker = truncated(moment, scale)
    assert row_version(marker, tried, scale) == marker
    assert spacing(scale) == unit(scale)


@pytest.mark.parametrize("tried", [-1, 0, SPACING_UNITS, SPACING_UNITS + 1])
@pytest.mark.parametrize("scale", [0, 3, 6])
def test_t3_a_try_that_would_reach_into_the_next_attempts_versions_is_an_error(tried: int, scale: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        row_version(datetime.fromisoformat("2026-01-15T00:00:00Z"), tried, scale)


@pytest.mark.parametrize(
    ("scale", "expected"),
    [(0, "07.000000"), (3, "07.123000"), (6, "07.123456"), (9, "07.123456")],
)
def test_a_marker_is_cut_to_what_each_column_holds(scale: int, expected: str) -> None:
    now = datetime.fromisoformat("2026-01-15T10:00:12.123456Z")
    marker = draw_marker(None, now, timedelta(seconds=5), scale)
    assert f"{marker:%Y-%m-%d %H:%M:%S.%f}" == f"2026-01-15 10:00:{expected}"
