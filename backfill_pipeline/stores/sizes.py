"""Bytes that a row takes in the target's tables, as their parts say: an estimate for rows that are yet to be written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backfill_pipeline.stores.clickhouse import ClickHouse

_SIZES = """
SELECT table, sum(rows), sum(data_uncompressed_bytes), sum(data_compressed_bytes) FROM system.parts
WHERE active AND database = currentDatabase() AND table IN {tables:Array(String)} GROUP BY table
"""


@dataclass(frozen=True)
class RowBytes:
    """On one replica. uncompressed: as it is sent. compressed: as it lies on disk."""

    uncompressed: float
    compressed: float


def row_bytes(clickhouse: ClickHouse, tables: Sequence[str]) -> Mapping[str, RowBytes]:
    """Means over all shards and customers; a table without a row is left out."""
    sums: dict[str, list[int]] = {}
    for shard in clickhouse.shards:
        for table, *amounts in shard.query(_SIZES, {"tables": list(tables)}):
            sums[table] = [a + int(b) for a, b in zip(sums.get(table, [0, 0, 0]), amounts, strict=True)]
    return {table: RowBytes(raw / rows, packed / rows) for table, (rows, raw, packed) in sums.items() if rows}
