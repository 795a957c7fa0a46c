"""Which shard a row goes to: the `_d` table's sharding expression, evaluated by the server itself."""

import re
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.schemas import TableSchema
from backfill_pipeline.stores.clickhouse import ClickHouse, ShardStore

_AT_ONCE = 1000  # distinct values per question: they travel in the URL, which servers cut at some length
_WORD = re.compile(r"'[^']*'|[A-Za-z_][A-Za-z0-9_]*")


class Router:
    """Splits rows of one table by shard.

    All shards are taken to weigh 1, as the configuration knows no weights: a cluster whose `system.clusters` says
    otherwise is refused, since rows would land where its `_d` table does not look for them on insert.
    """

    def __init__(self, clickhouse: ClickHouse, schema: TableSchema) -> None:
        self._shards, self._schema = clickhouse.shards, schema
        self._columns = mentioned(schema.sharding_key or "", schema.columns)
        if len(self._shards) > 1:
            self._refuse_unroutable()
            refuse_weights(clickhouse)

    def split(self, rows: pa.Table) -> Iterator[tuple[ShardStore, pa.Table]]:
        """Each shard with its rows; shards without any are left out."""
        if not rows.num_rows:
            return
        if len(self._shards) == 1:
            yield self._shards[0], rows
            return
        shard_of_row = self._shard_of_each(rows)
        for index, shard in enumerate(self._shards):
            picked = rows.filter(pa.array(shard_of_row == index))
            if picked.num_rows:
                yield shard, picked

    def _shard_of_each(self, rows: pa.Table) -> np.ndarray:
        """Index of the shard of each row; only distinct keys are asked for."""
        _, first, key_of_row = np.unique(_codes(rows.select(self._columns)), return_index=True, return_inverse=True)
        keys = rows.select(self._columns).take(pa.array(first))
        return np.array([n for part in _parts(keys) for n in self._evaluated(part)], np.int64)[key_of_row]

    def _evaluated(self, keys: pa.Table) -> list[int]:
        """Index of the shard of each key, in order."""
        types = {c: self._schema.columns[c] for c in self._columns}
        values = {f"v{i}": _as_text(keys[c]) for i, c in enumerate(self._columns)}
        sql = question(self._schema.sharding_key or "", types, len(self._shards))
        return [int(row[0]) for row in self._shards[0].query(sql, values)]

    def _refuse_unroutable(self) -> None:
        if not self._columns:
            raise Refused(
                f"It is not known to which shard rows of {self._schema.table} go",
                where=f"ClickHouse table {self._schema.table}_d",
                why=f"its sharding expression is {self._schema.sharding_key!r}, which names no column",
                next_step="give the Distributed table a sharding expression over its columns",
            )


def mentioned(expression: str, columns: Mapping[str, str]) -> list[str]:
    """Columns whose names stand in the expression (not inside quotes), in the table's order."""
    words = set(_WORD.findall(expression))
    return [c for c in columns if c in words]


def question(expression: str, types: Mapping[str, str], shards: int) -> str:
    """SELECT of the shard index for each of the bound arrays' values.

    Like the server, a signed value is taken as the unsigned one of the same bits before the modulo.
    """
    arrays = ", ".join(f"{{v{i}:Array(String)}}" for i in range(len(types)))
    named = ", ".join(f"CAST(t.{i + 1}, '{_escaped(type_)}') AS {c}" for i, (c, type_) in enumerate(types.items()))
    # sharding expression and types come from the server's own system tables
    unsigned = "if(k < 0, toUInt64(toInt128(k) + pow2), toUInt64(k))"
    wraps = "toInt128(bitShiftLeft(toUInt128(1), 8 * byteSize(k))) AS pow2"
    return (
        f"SELECT {unsigned} % {shards} FROM (SELECT ({expression}) AS k, {wraps} "  # noqa: S608
        f"FROM (SELECT {named} FROM (SELECT arrayJoin(arrayZip({arrays})) AS t)))"
    )


def refuse_weights(clickhouse: ClickHouse) -> None:
    weights = clickhouse.shards[0].query(
        "SELECT DISTINCT shard_weight FROM system.clusters WHERE cluster = {cluster:String} AND shard_weight != 1",
        {"cluster": clickhouse.address.cluster},
    )
    if weights:
        raise Refused(
            "The shards of the cluster differ in weight",
            where=f"system.clusters, {clickhouse.address.cluster}",
            why=f"weights other than 1: {[w[0] for w in weights]}",
            next_step="set all weights to 1, or extend worker/transfer/route.py",
        )


def _codes(keys: pa.Table) -> np.ndarray:
    """A number for each row, equal where all its columns are equal."""
    codes = np.zeros(keys.num_rows, np.int64)
    for column in keys.columns:
        encoded = column.combine_chunks().dictionary_encode()
        codes = codes * len(encoded.dictionary) + encoded.indices.to_numpy()
    return codes


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _parts(keys: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, keys.num_rows, _AT_ONCE):
        yield keys.slice(start, _AT_ONCE)


def _as_text(column: pa.ChunkedArray) -> list[str]:
    """Values as ClickHouse reads them back from text; times without their zone, which their type gives."""
    is_time = pa.types.is_timestamp(column.type)
    text = pc.strftime(column, format="%Y-%m-%d %H:%M:%S") if is_time else column.cast(pa.string())
    return list(text.to_pylist())
