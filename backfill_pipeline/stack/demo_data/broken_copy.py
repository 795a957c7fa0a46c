"""Applies the chosen defects: what PostgreSQL and each shard of ClickHouse get of a day."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backfill_pipeline.stack.demo_data.chats import DAY
from backfill_pipeline.stack.demo_data.defects import Choice
from backfill_pipeline.stack.demo_data.planted import TableName
from backfill_pipeline.stack.demo_data.right_copy import SHARD_TIME, TABLES, CopyDay, shard_of, shifted
from backfill_pipeline.stack.demo_data.source_day import SourceDay

_AN_HOUR = 3_600_000_000


@dataclass(frozen=True)
class ShardRows:
    """Rows for a local table of a shard."""

    shard: int
    table: TableName
    rows: pa.Table


def source_tables(source: SourceDay, choice: Choice) -> dict[str, pa.Table]:
    """Rows for PostgreSQL by table name: all but those that are gone, with everything that hung on a gone chat."""
    gone_chats = choice.gone["conversation"]
    chat = source.chat_of_scorecard
    gone_card = choice.gone["scorecard"] | ((chat >= 0) & gone_chats[np.maximum(chat, 0)])
    gone_score = choice.gone["score"] | gone_card[source.scorecard_of_score]
    gone_ids = source.chats.filter(gone_chats)["chat_id"].combine_chunks()
    return {
        "app.chats": source.chats.filter(~gone_chats),
        "app.chat_messages": source.messages.filter(pc.invert(pc.is_in(source.messages["chat_id"], gone_ids))),
        "director.scorecards": source.scorecards.filter(~gone_card),
        "director.historic_scorecard_scores": source.scores.filter(~gone_score),
    }


def superseded_rows(source: SourceDay, copy: CopyDay, choice: Choice) -> list[ShardRows]:
    """Older versions of right rows, to be inserted before these: FINAL must hide them, a plain count sees them."""
    shards = source.place.shards
    return [p for t in TABLES for p in by_shard(t, _outdated(t, copy.rows[t].filter(choice.superseded[t])), shards)]


def target_rows(source: SourceDay, copy: CopyDay, choice: Choice, days_off: int) -> list[ShardRows]:
    """Rows for the shards of ClickHouse with every defect in them; `days_off` leads to the day of the doubles."""
    return [part for table in TABLES for part in _of_table(table, source, copy, choice, days_off)]


def _of_table(table: TableName, source: SourceDay, copy: CopyDay, choice: Choice, days_off: int) -> list[ShardRows]:
    rows, shards = copy.rows[table], source.place.shards
    is_stale = choice.stale[table]
    fresh = (copy.right[table] & ~choice.missing[table] & ~is_stale) | choice.appeal[table]
    doubles = _moved(rows.filter(choice.other_day[table]), days_off)
    return [
        *by_shard(table, rows.filter(fresh), shards),
        *by_shard(table, _outdated(table, rows.filter(is_stale)), shards),
        *by_shard(table, doubles, shards),
        *by_shard(table, rows.filter(choice.other_shard[table]), shards, shards_on=1),
    ]


def by_shard(
    table: TableName, rows: pa.Table, shards: int, shards_on: int = 0, moment: str = SHARD_TIME
) -> list[ShardRows]:
    """The rows on the shards of their `moment`, or so many shards further."""
    shard = (shard_of(rows, shards, moment) + shards_on) % shards
    parts = [ShardRows(s, table, rows.filter(shard == s)) for s in range(shards)]
    return [p for p in parts if p.rows.num_rows]


def _moved(rows: pa.Table, days: int) -> pa.Table:
    start = rows["conversation_start_time"]
    moved = pc.add(start, pa.scalar(days * DAY // 1000, pa.duration("ms")))
    return replaced(rows, "conversation_start_time", moved)


def _outdated(table: TableName, rows: pa.Table) -> pa.Table:
    """The same rows with a content that is certainly another one, and a version an hour older."""
    column = {"conversation": "agent_user_id", "scorecard": "score", "score": "text_value"}[table]
    before = pa.scalar(-1.5) if table == "scorecard" else pa.scalar("as it was before")
    return older(replaced(rows, column, pa.repeat(before, rows.num_rows)))


def older(rows: pa.Table) -> pa.Table:
    """The same rows with a version an hour older."""
    return replaced(rows, "update_time", shifted(rows["update_time"], -_AN_HOUR))


def replaced(rows: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The rows with other values in one column."""
    return rows.set_column(rows.schema.get_field_index(name), name, values)
