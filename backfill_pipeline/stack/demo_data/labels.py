"""The copy of the labels as the shards of ClickHouse get it, with every defect in it."""

import pyarrow as pa

from backfill_pipeline.stack.demo_data.broken_copy import ShardRows, by_shard
from backfill_pipeline.stack.demo_data.label_defects import Choice, outdated
from backfill_pipeline.stack.demo_data.label_rows import TABLE, LabelDay


def superseded_rows(day: LabelDay, choice: Choice) -> list[ShardRows]:
    """Older versions of right rows, to be inserted before these: FINAL must hide them, a plain count sees them."""
    return _placed(day, outdated(day.rows.take(pa.array(choice.superseded))))


def target_rows(day: LabelDay, choice: Choice) -> list[ShardRows]:
    """Right rows and those that stand in their stead; what is gone from PostgreSQL is there only as a chosen defect."""
    is_right = ~day.is_gone
    for hit in choice.hits:
        if not hit.shards_on:
            is_right[hit.of] = False
    hits = [part for hit in choice.hits for part in _placed(day, hit.rows, hit.shards_on)]
    return [*_placed(day, day.rows.filter(is_right)), *hits]


def _placed(day: LabelDay, rows: pa.Table, shards_on: int = 0) -> list[ShardRows]:
    return by_shard(TABLE, rows, day.place.shards, shards_on, day.place.labels_moment)
