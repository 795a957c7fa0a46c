"""Ids that the source puts in a window and of which the target holds rows outside it, in any version, on any shard.

Compared are 64-bit hashes of the ids, which both engines compute alike: the source's of one window are held as numbers,
the target's come in buckets, so that memory does not grow with the customer's whole span.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from backfill_pipeline.domain.datasets import Content, Dataset, Target
from backfill_pipeline.domain.strays import Stray
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.clickhouse import ClickHouse, ShardStore
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.stores.source import statement, window_values
from backfill_pipeline.stores.sql.verify.fingerprints import clickhouse_fingerprint, postgres_fingerprint
from backfill_pipeline.stores.target import SCOPE, in_window, scope_values

Hashes = "np.ndarray[Any, np.dtype[np.int64]]"
BUCKET_ROWS = 4_000_000  # hashes of one shard held at once: 32 MB
DETAIL_HASHES = 2_000  # ids looked up by one query: they travel in the URL

_SOURCE = "SELECT {hash} FROM ({rows}) AS r"
_COUNT = "SELECT count() FROM {table} WHERE {outside}"
_TARGET = "SELECT DISTINCT {hash} AS h FROM {table} WHERE {outside} AND positiveModulo(h, {{buckets:UInt32}}) = {{bucket:UInt32}}"
_DETAILS = "SELECT DISTINCT profile_id, {id}, toDate({day}, 'UTC') FROM {table} WHERE {outside} AND {hash} IN {{hashes:Array(Int64)}}"


def strays(
    postgres: Postgres,
    clickhouse: ClickHouse,
    dataset: Dataset,
    customer: str,
    profiles: Sequence[str],
    window: Window,
) -> Mapping[str, tuple[Stray, ...]]:
    """Per target table whose rows may move, its strays; empty where none may.

    Raises:
        PipelineError: a side could not be asked; there is no partial answer.
    """
    moving = [t for t in dataset.targets if t.moves]
    where = window_values(customer, profiles, window)
    there = scope_values(customer, profiles, window)
    return {t.table: _of_table(clickhouse, t, _of_source(postgres, dataset, t, where), there) for t in moving}


def _of_source(postgres: Postgres, dataset: Dataset, target: Target, values: Mapping[str, Any]) -> Hashes:
    sql = _SOURCE.format(hash=postgres_fingerprint(_ids(target)), rows=statement(f"{dataset.name}_{target.table}"))
    with postgres.snapshot() as connection, connection.cursor(binary=True) as cursor:
        cursor.execute(sql.encode(), values)
        return np.unique(np.fromiter((row[0] for row in cursor), np.int64))


def _of_table(clickhouse: ClickHouse, target: Target, wanted: Hashes, values: Mapping[str, Any]) -> tuple[Stray, ...]:
    places: dict[tuple[str, str], set[date]] = defaultdict(set)
    for shard in clickhouse.shards:
        for hashes in _found(shard, target, wanted, values):
            for profile, name, day in shard.query(_filled(_DETAILS, target), {**values, "hashes": hashes}):
                places[profile, name].add(day)
    return tuple(Stray(profile, name, tuple(sorted(days))) for (profile, name), days in sorted(places.items()))


def _found(shard: ShardStore, target: Target, wanted: Hashes, values: Mapping[str, Any]) -> Iterator[list[int]]:
    """Those of the wanted ids that the shard holds outside the window, some at a time."""
    buckets = int(shard.scalar(_filled(_COUNT, target), values)) // BUCKET_ROWS + 1
    for bucket in range(buckets):
        held = _hashes(shard, _filled(_TARGET, target), {**values, "buckets": buckets, "bucket": bucket})
        both = np.intersect1d(wanted, held).tolist()
        yield from (both[i : i + DETAIL_HASHES] for i in range(0, len(both), DETAIL_HASHES))


def _hashes(shard: ShardStore, sql: str, values: Mapping[str, Any]) -> Hashes:
    with shard.translated():
        return np.asarray(shard.client().query_arrow(sql, parameters=dict(values))["h"].to_numpy(), dtype=np.int64)


def _filled(sql: str, target: Target) -> str:
    return sql.format(
        table=target.table,
        id=target.ids[-1],
        day=target.day_column,
        hash=clickhouse_fingerprint(_ids(target)),
        outside=f"{SCOPE}{target.only} AND NOT ({in_window(target)})",
    )


def _ids(target: Target) -> dict[str, Content]:
    return dict.fromkeys(target.ids, Content.TEXT)
