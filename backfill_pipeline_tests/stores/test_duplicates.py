"""Ids with more than one row after FINAL: other day, other month, other shard. Exact counts, none on a right copy."""

from datetime import date

import pytest

from backfill_pipeline.domain.datasets import CONVERSATIONS
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.domain.verdicts import Doubled
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.duplicates import doubled_ids
from backfill_pipeline_tests.stores.claims import window
from backfill_pipeline_tests.stores.rows import put

FIRST = date(2026, 1, 1)


def found(target: ClickHouse, at: Window | None = None) -> list[Doubled]:
    return list(doubled_ids(target, CONVERSATIONS, "acme", ["default"], at or window(1, 4)))


@pytest.fixture
def copy(target: ClickHouse) -> ClickHouse:
    """A right copy: one row per id on either shard, with older versions that FINAL removes."""
    for number, shard in enumerate(target.shards):
        for day in (1, 2, 3):
            for version in ("2026-01-19", "2026-01-20"):
                name, at = f"c{number}{day}", f"{version} 00:00:00.000000"
                put(shard, conversation_id=name, day=day, update_time=at)
                put(shard, "scorecard", scorecard_id=f"s-{name}", conversation_id=name, day=day, update_time=at)
                for criterion in ("k1", "k2"):
                    put(
                        shard, "score", scorecard_id=f"s-{name}", criterion_id=criterion, conversation_id=name,
                        day=day, update_time=at,
                    )  # fmt: skip
    return target


def test_a_right_copy_is_accused_of_nothing_though_it_holds_older_versions(copy: ClickHouse) -> None:
    put(copy.shards[0], conversation_id="c01", customer_id="acme-east", day=2)
    put(copy.shards[0], conversation_id="c01", profile_id="support", day=2)
    put(copy.shards[0], "scorecard", scorecard_id="process only", conversation_id="", day=1)
    put(copy.shards[1], "scorecard", scorecard_id="process only", conversation_id="", day=2)
    assert found(copy) == []


@pytest.mark.parametrize("shard", [0, 1])
def test_l7_a_second_row_of_the_dataset_that_shares_the_table_is_found_too(copy: ClickHouse, shard: int) -> None:
    """A scorecard that lost its conversation: dashboards read it twice, whichever dataset its rows are of."""
    put(copy.shards[shard], "scorecard", scorecard_id="s-c01", conversation_id="", day=9)
    put(copy.shards[shard], "scorecard", scorecard_id="s-c02", conversation_id="", day=3)
    days = {d.day: (d.ids, d.also_on, d.sample) for d in found(copy)}
    second, third = date(2026, 1, 2), date(2026, 1, 3)
    assert days == {
        FIRST: (1, (FIRST, date(2026, 1, 9)), ("default/s-c01",)),
        second: (1, (second, third), ("default/s-c02",)),
    }


@pytest.mark.parametrize(
    ("start", "other"),
    [("2026-01-09 12:00:00.000", date(2026, 1, 9)), ("2025-12-31 23:59:59.999", date(2025, 12, 31))],
)
def test_l7_a_second_row_on_another_day_or_month_is_found_though_final_keeps_both(
    copy: ClickHouse, start: str, other: date
) -> None:
    put(copy.shards[0], conversation_id="c01", conversation_start_time=start)
    assert found(copy) == [
        Doubled(FIRST, "conversation", 1, 0, (other, FIRST) if other < FIRST else (FIRST, other), ("default/c01",))
    ]


def test_l7_both_days_of_a_doubled_id_are_named_where_both_lie_in_the_window(copy: ClickHouse) -> None:
    put(copy.shards[0], "score", scorecard_id="s-c01", criterion_id="k2", conversation_id="c01", day=3)
    days = (FIRST, date(2026, 1, 3))
    assert sorted(found(copy), key=lambda d: d.day) == [
        Doubled(day, "score", 1, 0, days, ("default/s-c01/k2",)) for day in days
    ]


def test_l7_a_row_on_a_second_shard_is_found_though_no_shard_sees_both(copy: ClickHouse) -> None:
    put(copy.shards[1], "scorecard", scorecard_id="s-c01", conversation_id="c01", day=1)
    put(copy.shards[1], "scorecard", scorecard_id="s-c02", conversation_id="c02", day=8)
    doubled = {d.day: d for d in found(copy)}
    assert doubled[FIRST] == Doubled(FIRST, "scorecard", 1, 1, (FIRST,), ("default/s-c01",))
    second = date(2026, 1, 2)
    assert doubled[second] == Doubled(second, "scorecard", 1, 1, (second, date(2026, 1, 8)), ("default/s-c02",))
    assert len(doubled) == 2


def test_a_doubled_id_of_days_outside_the_window_is_left_to_those_days(copy: ClickHouse) -> None:
    for day in (20, 21):
        put(copy.shards[0], conversation_id="late", day=day)
    assert found(copy) == []
    assert [d.ids for d in found(copy, window(20, 22))] == [1, 1]


def test_ids_are_counted_exactly_where_there_are_many(copy: ClickHouse) -> None:
    for shard in copy.shards:
        shard.client().command(
            "INSERT INTO conversation (customer_id, profile_id, conversation_id, conversation_start_time, update_time) "
            "SELECT 'acme', 'default', concat('many-', toString(number)), "
            "toDateTime64('2026-01-02 00:00:00', 3, 'UTC'), toDateTime64('2026-01-20 00:00:00', 6, 'UTC') "
            "FROM numbers(12000)"
        )
    [many] = found(copy)
    assert (many.ids, many.across_shards, len(many.sample)) == (12_000, 12_000, 5)


def test_d9_a_shard_that_can_not_be_asked_is_no_shard_without_duplicates(copy: ClickHouse) -> None:
    copy.shards[1].client().command("DROP TABLE score SYNC")
    with pytest.raises(PipelineError, match="shard 2"):
        found(copy)
