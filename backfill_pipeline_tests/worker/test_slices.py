"""How a range is cut: without gap or overlap, and as large as slices go through in time."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from backfill_pipeline.worker.transfer.slices import Pace, Slice

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
ids = st.lists(st.text("abc", min_size=1, max_size=4), unique=True).map(sorted)


@given(ids, st.lists(st.integers(1, 5), min_size=1, max_size=50))
def test_every_id_lies_in_exactly_one_slice_whatever_the_sizes(there: list[str], sizes: list[int]) -> None:
    parts, rest, turn = [], Slice(START, END), 0
    while rest:
        size = sizes[turn % len(sizes)]
        page = [i for i in there if rest.after is None or i > rest.after][:size]
        part = rest.first(page[-1] if page else None, len(page), size)
        parts.append(part)
        rest, turn = rest.rest(part), turn + 1  # type: ignore[assignment]
    for each in there:
        assert sum((p.after is None or each > p.after) and (p.upto is None or each <= p.upto) for p in parts) == 1
    assert sum(p.size for p in parts) == len(there)
    assert (parts[0].after, parts[-1].upto) == (None, None)


def test_slices_grow_while_they_are_quick_and_shrink_when_they_are_slow() -> None:
    pace = Pace(50, 1000)
    for _ in range(10):
        pace.took(pace.size, 0.01)
    assert pace.size == 1000
    pace.took(1000, 60)
    assert pace.size == 500
    pace.halve()
    assert pace.size == 250


def test_a_small_last_slice_says_nothing_about_the_pace() -> None:
    pace = Pace(100, 1000)
    pace.took(3, 0.001)
    assert pace.size == 100


@given(st.integers(1, 50), st.lists(st.floats(0, 1000), max_size=50))
def test_a_slice_is_never_empty_and_never_above_the_limit(most: int, seconds: list[float]) -> None:
    pace = Pace(1, most)
    for took in seconds:
        pace.took(pace.size, took)
        assert 1 <= pace.size <= most
    pace.halve()
    assert pace.size >= 1
