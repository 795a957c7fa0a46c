from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill_pipeline.domain.verdicts import (
    DaySums,
    Doubled,
    TableSum,
    Verdict,
    by_profile,
    judge,
    judge_days,
    together,
)
from backfill_pipeline.domain.windows import Window

DAY = date(2026, 1, 15)
NOTHING = TableSum()
table_sums = st.builds(TableSum, rows=st.integers(0, 5), fingerprint=st.integers(-3, 3))
day_sums = st.dictionaries(st.sampled_from(["conversation", "scorecard", "score"]), table_sums)


def verdict(source: DaySums | None, target: DaySums | None) -> Verdict:
    return judge(DAY, source, target).verdict


def test_equal_rows_and_fingerprints_match() -> None:
    same = {"conversation": TableSum(3, 77), "score": NOTHING}
    assert verdict(same, dict(same)) is Verdict.MATCH
    assert judge(DAY, same, dict(same)).reasons == ()


@pytest.mark.parametrize(
    ("source", "target", "lacks_rows"),
    [
        ({"a": TableSum(51)}, {"a": NOTHING}, True),
        ({"a": TableSum(51), "b": TableSum(9)}, {"a": TableSum(51), "b": NOTHING}, True),
        ({"a": TableSum(51)}, {"a": TableSum(50)}, False),
        ({"a": TableSum(51)}, {"a": TableSum(51)}, False),
        ({"a": TableSum(51)}, {"a": TableSum(102)}, False),
        ({"a": NOTHING}, {"a": NOTHING}, False),
        ({"a": TableSum(51)}, None, True),
        (None, {"a": NOTHING}, True),
    ],
)
def test_a_deleted_day_counts_as_back_though_its_rows_are_not(
    source: DaySums | None, target: DaySums | None, lacks_rows: bool
) -> None:
    assert judge(DAY, source, target).lacks_rows is lacks_rows


NEXT = date(2026, 1, 16)


def test_a_profile_without_rows_was_counted_and_a_day_that_one_profile_lacks_was_not() -> None:
    counted = by_profile({"score": {("retail", DAY): TableSum(3, 7)}}, ["retail", "support"], [DAY, NEXT])
    assert counted["support"] == {DAY: {"score": NOTHING}, NEXT: {"score": NOTHING}}
    assert together(counted) == {DAY: {"score": TableSum(3, 7)}, NEXT: {"score": NOTHING}}
    assert together({**counted, "support": {DAY: {"score": TableSum(2, -7)}}}) == {DAY: {"score": TableSum(5, 0)}}
    assert together({**counted, "support": {DAY: {}}}) == {DAY: {}}
    assert together({}) == {}


def test_a_day_without_rows_on_both_sides_is_told_apart_from_a_match() -> None:
    assert verdict({"conversation": NOTHING}, {"conversation": NOTHING}) is Verdict.EMPTY_BOTH


@pytest.mark.parametrize(
    ("source", "target", "side"),
    [
        (None, {"conversation": NOTHING}, "source"),
        ({"conversation": NOTHING}, None, "target"),
        (None, None, "source"),
        ({}, {"conversation": NOTHING}, "source"),
        ({"conversation": NOTHING}, {}, "target"),
        ({}, {}, "source"),
    ],
)
def test_d9_a_count_that_failed_is_never_taken_for_zero(
    source: DaySums | None, target: DaySums | None, side: str
) -> None:
    found = judge(DAY, source, target)
    assert found.verdict is Verdict.ERROR
    assert not found.verdict.is_good
    assert f"the {side} was not counted" in found.reasons[0]


@pytest.mark.parametrize("counted", [NOTHING, TableSum(3, 7)])
@pytest.mark.parametrize("side", ["source", "target"])
def test_d9_a_table_that_one_side_did_not_count_makes_the_day_an_error(counted: TableSum, side: str) -> None:
    whole, part = {"conversation": counted, "score": counted}, {"conversation": counted}
    found = judge(DAY, part, whole) if side == "source" else judge(DAY, whole, part)
    assert found.verdict is Verdict.ERROR
    assert found.reasons == (f"score: the {side} was not counted",)


def test_d9_an_unknown_table_is_not_covered_up_by_one_that_differs() -> None:
    found = judge(DAY, {"conversation": TableSum(1), "score": NOTHING}, {"conversation": TableSum(2)})
    assert found.verdict is Verdict.ERROR
    assert len(found.reasons) == 2


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        (TableSum(1_200), TableSum(1_000), "conversation: source 1,200, target 1,000 (-200)"),
        (TableSum(0), TableSum(2), "conversation: source 0, target 2 (+2)"),
        (TableSum(3, 1), TableSum(3, 2), "conversation: 3 rows on both sides, but other ids or contents"),
    ],
)
def test_a_difference_is_said_in_numbers(source: TableSum, target: TableSum, reason: str) -> None:
    found = judge(DAY, {"conversation": source}, {"conversation": target})
    assert found.verdict is Verdict.DIFFERENT
    assert found.reasons == (reason,)


def test_every_table_that_differs_is_named() -> None:
    source = {"conversation": TableSum(1), "scorecard": TableSum(2, 5), "score": TableSum(3)}
    target = {"conversation": TableSum(9), "scorecard": TableSum(2, 6), "score": TableSum(3)}
    assert [r.split(":")[0] for r in judge(DAY, source, target).reasons] == ["conversation", "scorecard"]


@given(st.none() | day_sums, st.none() | day_sums)
def test_a_day_is_green_only_where_every_table_was_counted_alike_on_both_sides(
    source: DaySums | None, target: DaySums | None
) -> None:
    is_equal = bool(source) and source == target
    found = judge(DAY, source, target)
    assert found.verdict.is_good is is_equal
    assert bool(found.reasons) is not is_equal
    assert found.verdict is not Verdict.EMPTY_BOTH or not any(s.rows for s in (source or {}).values())


@given(st.lists(table_sums, max_size=5))
def test_no_shard_is_forgotten_where_sums_are_added(parts: list[TableSum]) -> None:
    total = sum(parts, TableSum())
    assert total == TableSum(sum(p.rows for p in parts), sum(p.fingerprint for p in parts))


def test_only_match_and_empty_on_both_sides_are_good() -> None:
    assert {v for v in Verdict if v.is_good} == {Verdict.MATCH, Verdict.EMPTY_BOTH}


def test_d9_a_day_that_nobody_counted_is_in_the_result_as_an_error() -> None:
    days = Window(DAY, date(2026, 1, 18)).days
    counted = {days[0]: {"conversation": TableSum(1, 1)}}
    found = judge_days(days, counted, counted)
    assert [d.day for d in found] == list(days)
    assert [d.verdict for d in found] == [Verdict.MATCH, Verdict.ERROR, Verdict.ERROR]
    assert {d.verdict for d in judge_days(days, None, counted)} == {Verdict.ERROR}


def doubled(**changes: Any) -> str:
    found = {"day": DAY, "table": "score", "ids": 2, "across_shards": 0, "also_on": (DAY,), "sample": ("s1",)}
    return str(Doubled(**{**found, **changes}))


def test_a_duplicate_that_a_reindex_of_this_day_can_not_mend_says_which_days_can() -> None:
    assert doubled() == "score: 2 ids have more than one row (for example s1)"
    text = doubled(across_shards=1, also_on=(DAY, date(2026, 1, 9)))
    assert "1 on more than one shard" in text
    assert "also on 2026-01-09: reindex those days too, unless the source has them on each of these days" in text
