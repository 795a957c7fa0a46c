"""Target tables on real gateways, and plain counts of them."""

from importlib import resources
from typing import Any

from backfill_pipeline.config import ClickHouseAddress
from backfill_pipeline.reach import Replica, Shard
from backfill_pipeline.stores.clickhouse import ClickHouse

OF_CONVERSATIONS = ("conversation", "scorecard", "score")
TABLES = (*OF_CONVERSATIONS, "conversation_with_labels")
OLDER, NEWER = "labels_older.sql", "labels_newer.sql"
_FOLDER = resources.files("backfill_pipeline.stack.schema")


def address_of(ports: list[int]) -> ClickHouseAddress:
    return ClickHouseAddress(shards=[Shard(replicas=[Replica(host="127.0.0.1", port=p)]) for p in ports])


def without_comments(statement: str) -> str:
    return "\n".join(line for line in statement.splitlines() if not line.startswith("--")).strip()


def create(clickhouse: ClickHouse, labels: str = OLDER) -> None:
    """Empty tables. labels: which form that of the labels has."""
    statements = [s for file in ("target.sql", labels) for s in _FOLDER.joinpath(file).read_text().split(";\n")]
    for shard in clickhouse.shards:
        for table in TABLES:
            shard.client().command(f"DROP TABLE IF EXISTS {table}_d SYNC")
            shard.client().command(f"DROP TABLE IF EXISTS {table} SYNC")
        for statement in filter(None, map(without_comments, statements)):
            shard.client().command(statement)


def rows(clickhouse: ClickHouse, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    """Rows of all shards together."""
    return [row for shard in clickhouse.shards for row in shard.query(sql, values)]


def counts(clickhouse: ClickHouse) -> dict[str, int]:
    """Physical rows per table of conversations, over all shards."""
    return {t: sum(r[0] for r in rows(clickhouse, f"SELECT count() FROM {t}")) for t in OF_CONVERSATIONS}
