"""How many days one Job takes."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill_pipeline.domain.cuts import Tried, ceiling, job_days, smaller
from backfill_pipeline.domain.windows import Window

MONTH = Window(date(2026, 1, 1), date(2026, 2, 1))
MANY = 10**12


def rows(per_day: int, **odd: int) -> dict[date, int]:
    return {d: odd.get(f"day{d.day}", per_day) for d in MONTH.days}


def test_a_window_that_fits_is_one_job() -> None:
    assert job_days(MONTH, rows(100), most_rows=3100) == 31


@pytest.mark.parametrize(("most_rows", "days"), [(3099, 10), (1000, 10), (999, 5), (500, 5), (499, 1), (1, 1)])
def test_a_window_above_the_budget_is_cut_month_ten_five_one(most_rows: int, days: int) -> None:
    assert job_days(MONTH, rows(100), most_rows=most_rows) == days


def test_one_heavy_day_among_light_ones_is_not_drowned_in_an_average() -> None:
    assert job_days(MONTH, rows(1, day17=1000), most_rows=1003) == 1
    assert job_days(MONTH, rows(1, day17=1000), most_rows=1004) == 5


def test_a_day_that_is_above_the_budget_alone_is_done_nevertheless() -> None:
    assert job_days(MONTH, rows(10**9), most_rows=1) == 1


def test_what_failed_for_its_size_is_not_tried_at_that_size_next_month() -> None:
    assert job_days(MONTH, rows(1), most_rows=MANY, history=[Tried(31, False)]) == 10
    assert job_days(MONTH, rows(1), most_rows=MANY, history=[Tried(31, False), Tried(10, False), Tried(5, True)]) == 5


def test_a_size_that_went_through_later_is_trusted_again() -> None:
    assert ceiling([Tried(10, False), Tried(5, True), Tried(31, True)]) == 31
    assert ceiling([Tried(31, True)]) is None


def test_a_later_failure_at_a_larger_size_does_not_raise_the_ceiling() -> None:
    assert ceiling([Tried(5, False), Tried(31, False)]) == 1


def test_what_is_asked_for_wins_over_history_but_not_over_the_budget() -> None:
    assert job_days(MONTH, rows(1), most_rows=MANY, history=[Tried(5, False)], asked=7) == 7
    assert job_days(MONTH, rows(100), most_rows=600, asked=7) == 5


def test_smaller_ends_at_a_day() -> None:
    assert [smaller(n) for n in (31, 11, 10, 7, 5, 2, 1)] == [10, 10, 5, 5, 1, 1, 1]


sizes = st.integers(1, 40)


@given(sizes, st.integers(0, 1000), st.integers(1, 20_000), st.lists(st.builds(Tried, sizes, st.booleans())), sizes)
def test_no_job_is_above_the_budget_unless_it_is_a_single_day(
    length: int, per_day: int, most_rows: int, history: list[Tried], asked: int
) -> None:
    window = Window(MONTH.start, MONTH.start + timedelta(days=length))
    counted = dict.fromkeys(window.days, per_day)
    for wanted in (None, asked):
        size = job_days(window, counted, most_rows=most_rows, history=history, asked=wanted)
        assert 1 <= size <= length
        assert size == 1 or all(per_day * len(p.days) <= most_rows for p in window.split(size))
