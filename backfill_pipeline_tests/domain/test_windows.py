import itertools
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill_pipeline.domain.errors import Kind, Refused
from backfill_pipeline.domain.windows import (
    ONE_DAY,
    Window,
    from_inclusive_days,
    parse_day,
    parse_rfc3339,
    rfc3339,
    windows_of,
)
from backfill_pipeline_tests.domain.strategies import days, moments, windows


@given(windows(), st.integers(1, 40))
def test_no_day_is_lost_or_deleted_twice_where_a_window_is_split(window: Window, max_days: int) -> None:
    parts = window.split(max_days)
    assert parts[0].start == window.start
    assert parts[-1].end == window.end
    assert [p.end for p in parts[:-1]] == [p.start for p in parts[1:]]
    assert all(1 <= len(p.days) <= max_days for p in parts)
    assert [len(p.days) for p in parts[:-1]] == [max_days] * (len(parts) - 1)


def test_a_split_into_nothing_is_an_error_and_no_endless_loop() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Window(date(2026, 1, 1), date(2026, 1, 2)).split(0)


@given(st.sets(st.dates(date(2024, 2, 20), date(2024, 3, 20))))
def test_no_day_is_added_or_forgotten_where_chosen_days_become_windows(chosen: set[date]) -> None:
    found = windows_of(chosen)
    assert [d for w in found for d in w.days] == sorted(chosen)
    assert all(a.end < b.start for a, b in itertools.pairwise(found)), "two windows touch: one would do"


@given(st.lists(days, max_size=20))
def test_a_day_asked_for_twice_is_done_once(chosen: list[date]) -> None:
    assert windows_of(chosen + chosen) == windows_of(sorted(chosen, reverse=True))


@given(windows())
def test_the_last_day_is_not_lost_where_people_write_both_ends(window: Window) -> None:
    first, last = window.days[0], window.days[-1]
    assert from_inclusive_days(first, last) == window
    assert str(window) == (f"{first}..{last}" if first != last else f"{first}")


@given(days, st.integers(0, 400))
def test_an_empty_or_reversed_window_never_exists(end: date, back: int) -> None:
    with pytest.raises(Refused, match="empty or reversed") as refused:
        Window(end + timedelta(days=back), end)
    assert refused.value.kind is Kind.REFUSED


@given(windows(max_days=5), windows(max_days=5))
def test_two_windows_on_one_day_are_never_taken_for_apart(one: Window, other: Window) -> None:
    shares_a_day = bool(set(one.days) & set(other.days))
    assert one.overlaps(other) is other.overlaps(one) is shares_a_day


@given(windows(max_days=5), st.integers(-3, 8))
def test_windows_side_by_side_do_not_block_each_other(window: Window, shift: int) -> None:
    other = Window(window.start + ONE_DAY * shift, window.end + ONE_DAY * shift)
    assert window.overlaps(other) is (abs(shift) < len(window.days))


@given(windows(max_days=5), moments)
def test_p7_a_row_at_midnight_belongs_to_exactly_one_window(window: Window, moment: datetime) -> None:
    for at in (moment, window.start_time, window.end_time, window.end_time - timedelta(microseconds=1)):
        belongs = window.start_time <= at < window.end_time
        assert belongs is (at.astimezone(UTC).date() in window.days)


@pytest.fixture(params=["America/New_York", "Pacific/Apia", "Asia/Kathmandu"])
def elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The host's zone is another one, with days that do not have 24 hours."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("day", [date(2026, 3, 8), date(2026, 11, 1), date(2011, 12, 30)])
def test_p7_the_day_of_a_clock_change_is_not_an_hour_short_in_another_zone(day: date) -> None:
    window = from_inclusive_days(day, day)
    assert window.end_time - window.start_time == timedelta(hours=24)
    assert rfc3339(window.start_time) == f"{day}T00:00:00Z"
    assert parse_rfc3339(f"{day}T00:00:00Z") == window.start_time


@given(moments)
def test_no_microsecond_is_lost_on_the_way_through_rfc3339(moment: datetime) -> None:
    text = rfc3339(moment)
    assert text.endswith("Z")
    assert parse_rfc3339(text) == moment
    assert parse_rfc3339(text).tzinfo is UTC
    assert rfc3339(parse_rfc3339(text)) == text


@given(moments)
def test_l3_a_time_in_another_zone_is_read_as_the_same_instant(moment: datetime) -> None:
    assert parse_rfc3339(moment.isoformat()) == moment


def test_l3_a_time_without_a_zone_is_never_taken_in_the_hosts() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        rfc3339(datetime(2026, 1, 15))  # noqa: DTZ001 - the point of the test


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-01-15",
        "2026-01-15T00:00:00",
        "2026-01-15 00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-15T24:30:00Z",
        "infinity",
        "-infinity",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
    ],
)
def test_a_time_that_can_not_be_read_is_refused_by_name_and_no_traceback(text: str) -> None:
    with pytest.raises(Refused, match="Not an RFC 3339 time") as refused:
        parse_rfc3339(text)
    assert repr(text) in str(refused.value)


@given(days)
def test_a_partition_key_is_the_day_that_it_says(day: date) -> None:
    assert parse_day(str(day)) == day


@pytest.mark.parametrize("text", ["20260101", "2026-W01-5", "2026W015", " 2026-01-01"])
def test_a_day_in_another_form_is_taken_for_a_partition_key(text: str) -> None:
    with pytest.raises(Refused, match="Not a day"):
        parse_day(text)


@given(days, st.integers(1, 400))
def test_a_reversed_range_is_explained_with_days_that_nobody_gave(last: date, back: int) -> None:
    first = last + timedelta(days=back)
    with pytest.raises(Refused) as refused:
        from_inclusive_days(first, last)
    assert str(refused.value) == (
        f"The range is reversed. Where: {first} to {last}. Why: the last day is before the first. Next: swap them."
    )


@pytest.mark.parametrize("text", ["0001-01-01", "1899-12-31", "2301-01-01", "9999-12-31", "2026-02-30", "", "today"])
def test_a_day_that_no_window_can_hold_is_refused_and_no_traceback(text: str) -> None:
    """The day after the last one of year 9999 is an error of Python's, deep in whatever asked."""
    with pytest.raises(Refused, match="Not a day"):
        parse_day(text)
