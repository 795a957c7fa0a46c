"""Rows that fit no dataset: whoever loads a day must count them as UNCOVERED, never lose them in silence."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from backfill_pipeline.stack.demo_data.awkward import INFINITY
from backfill_pipeline.stack.demo_data.chats import TIME, prefix
from backfill_pipeline.stack.demo_data.planted import Uncovered
from backfill_pipeline.stack.demo_data.source_day import SourceDay

EACH = 2  # of each kind per profile


def rows(source: SourceDay) -> tuple[dict[str, pa.Table], list[Uncovered]]:
    """Rows for PostgreSQL by table, and their record: no start, infinite start, scorecards without a conversation."""
    without, infinite = _chats(source, "no-start", None), _chats(source, "infinite-start", INFINITY)
    orphans = _orphans(source)
    tables = {"app.chats": pa.concat_tables([without, infinite]), "director.scorecards": orphans}
    chats, cards = "app.chats", "director.scorecards"
    return tables, [
        _record(source, reason="no start", table=chats, ids=without["conversation_id"].to_pylist()),
        _record(source, reason="infinite start", table=chats, ids=infinite["conversation_id"].to_pylist()),
        _record(source, reason="no such conversation", table=cards, ids=orphans["scorecard_id"].to_pylist()),
    ]


def _record(source: SourceDay, **more: Any) -> Uncovered:
    place = source.place
    return Uncovered(cluster=place.cluster, customer=place.customer, profile=place.profile, **more)


def _chats(source: SourceDay, name: str, start: int | None) -> pa.Table:
    new = {
        "chat_id": _ids(source, f"{name}-chat"),
        "conversation_id": _ids(source, name),
        "started_at": pa.array([start] * EACH, pa.int64()).cast(TIME),
        "ended_at": pa.nulls(EACH, TIME),
        "is_dev_user": pa.array([False] * EACH),
    }
    return _with(source.chats.slice(0, EACH), new)


def _orphans(source: SourceDay) -> pa.Table:
    regular = source.scorecards.filter(pc.is_null(source.scorecards["scorecard_type"])).slice(1, EACH)
    return _with(regular, {"scorecard_id": _ids(source, "orphan"), "conversation_id": _ids(source, "deleted")})


def _ids(source: SourceDay, name: str) -> pa.Array:
    return pa.array([f"{prefix(source.place)}:{name}-{i}" for i in range(EACH)])


def _with(table: pa.Table, columns: dict[str, pa.Array]) -> pa.Table:
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table
