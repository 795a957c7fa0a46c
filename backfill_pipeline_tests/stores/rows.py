"""Rows put into a shard's local tables by hand, and what is left of them."""

from datetime import datetime
from typing import Any

from backfill_pipeline.domain.datasets import CONVERSATIONS
from backfill_pipeline.domain.deletes import Delete, build_delete
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.clickhouse import ClickHouse, ShardStore
from backfill_pipeline_tests.stores.claims import NOW, window

OLD = "2026-01-20 00:00:00.000000"
MARKER = NOW
TARGETS = {t.table: t for t in CONVERSATIONS.targets}
_DEFAULTS = {"customer_id": "acme", "profile_id": "default", "update_time": OLD}


def put(shard: ShardStore, table: str = "conversation", **values: Any) -> None:
    """One row; `day` is short for its start at noon of that January day."""
    day = values.pop("day", 1)
    row = {**_DEFAULTS, "conversation_id": "c1", "conversation_start_time": f"2026-01-{day:02d} 12:00:00.000", **values}
    names, quoted = ", ".join(row), ", ".join(_literal(v) for v in row.values())
    shard.client().command(f"INSERT INTO {table} ({names}) VALUES ({quoted})")


def _literal(value: Any) -> str:
    if value is None or isinstance(value, int | float):
        return "NULL" if value is None else str(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def a_delete(
    table: str = "conversation", customer: str = "acme", at: Window | None = None, marker: datetime = MARKER
) -> Delete:
    return build_delete(TARGETS[table], customer, ["default"], at or window(1, 4), marker, max_days=31)


def left(clickhouse: ClickHouse, table: str = "conversation", column: str = "conversation_id") -> list[str]:
    """The values of a column over all shards, sorted."""
    return sorted(str(r[0]) for s in clickhouse.shards for r in s.query(f"SELECT {column} FROM {table}"))
