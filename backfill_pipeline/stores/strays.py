"""Rows that belong to no day on which they lie: of ids that either side has in a window, on days outside it; and rows of
another dataset in the same table that the window's own rows hide.

Compared are 64-bit hashes of the ids, which both engines compute alike: those of one window are held as numbers, the
target's others come in buckets, so that memory does not grow with the customer's whole span.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias

import numpy as np

from backfill_pipeline.domain.datasets import Content, Dataset, Target, sharing
from backfill_pipeline.domain.strays import Stray
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.clickhouse import ClickHouse, ShardStore
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.stores.source import ALL_TIME, statement, window_values
from backfill_pipeline.stores.sql.verify.fingerprints import clickhouse_fingerprint, postgres_fingerprint
from backfill_pipeline.stores.target import SCOPE, in_window, scope_values, window_scope

Hashes: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"
Places = Mapping[tuple[str, str], set[date]]
"""(profile, id) -> days."""
BUCKET_ROWS = 4_000_000  # hashes of one shard held at once: 32 MB
DETAIL_HASHES = 2_000  # ids looked up by one query: they travel in the URL

_SOURCE = "SELECT {hash} FROM ({rows}) AS r"
_HOMES = """
SELECT profile_id, {id}, ({day} AT TIME ZONE 'UTC')::date FROM ({rows}) AS r WHERE {id} = ANY (%(ids)s)
"""
_INSIDE = "SELECT DISTINCT {hash} AS h FROM {table} WHERE {inside}"
_COUNT = "SELECT count() FROM {table} WHERE {outside}"
_OUTSIDE = """
SELECT DISTINCT {hash} AS h FROM {table}
WHERE {outside} AND positiveModulo(h, {{buckets:UInt32}}) = {{bucket:UInt32}}
"""
_DETAILS = """
SELECT DISTINCT profile_id, {id}, toDate({day}, 'UTC') FROM {table}
WHERE {outside} AND {hash} IN {{hashes:Array(Int64)}}
"""
# Both lie under one sort key, so FINAL shows the newer one alone; and a delete asks for all versions, not for that.
_HIDDEN = """
SELECT profile_id, {id}, toDate({day}, 'UTC') AS d FROM {table} WHERE {scope}{window}
GROUP BY 1, 2, 3 HAVING countIf({only}) > 0 AND countIf(NOT ({only})) > 0
"""


def strays(
    postgres: Postgres,
    clickhouse: ClickHouse,
    dataset: Dataset,
    customer: str,
    profiles: Sequence[str],
    window: Window,
) -> Mapping[str, tuple[Stray, ...]]:
    """Per target table whose rows may move or that other datasets share, its strays.

    Raises:
        PipelineError: a side could not be asked; there is no partial answer.
    """
    where, there = window_values(customer, profiles, window), scope_values(customer, profiles, window)
    found: dict[str, tuple[Stray, ...]] = {}
    for target in (t for t in dataset.targets if t.moves):
        wanted = np.union1d(_of_source(postgres, dataset, target, where), _inside(clickhouse, target, there))
        places = _places(clickhouse, target, wanted, there)
        found[target.table] = _strays(places, _homes(postgres, [dataset], target, where, places))
    for target, others in ((t, sharing(dataset, t)) for t in dataset.targets):
        if others:
            places = _hidden(clickhouse, target, there)
            hidden = _strays(places, _homes(postgres, others, target, where, places))
            found[target.table] = (*found.get(target.table, ()), *hidden)
    return found


def _strays(places: Places, homes: Places) -> tuple[Stray, ...]:
    wrong = {who: sorted(days - homes.get(who, set())) for who, days in sorted(places.items())}
    return tuple(Stray(profile, name, tuple(days)) for (profile, name), days in wrong.items() if days)


def _of_source(postgres: Postgres, dataset: Dataset, target: Target, values: Mapping[str, Any]) -> Hashes:
    sql = _SOURCE.format(hash=postgres_fingerprint(_ids(target)), rows=statement(f"{dataset.name}_{target.table}"))
    with postgres.snapshot() as connection, connection.cursor(binary=True) as cursor:
        cursor.execute(sql.encode(), values)
        return np.fromiter((row[0] for row in cursor), np.int64)


def _homes(
    postgres: Postgres, datasets: Sequence[Dataset], target: Target, values: Mapping[str, Any], places: Places
) -> Places:
    """The days on which the source has each of these ids now, as one of these datasets."""
    homes: dict[tuple[str, str], set[date]] = defaultdict(set)
    asked = {**values, **ALL_TIME, "ids": [name for _, name in places]}
    for dataset in datasets if places else ():
        sql = _HOMES.format(id=target.named_by, day=target.day_column, rows=statement(_file_of(dataset, target)))
        with postgres.snapshot() as connection:
            for profile, name, day in connection.execute(sql.encode(), asked):
                homes[profile, name].add(day)
    return homes


def _file_of(dataset: Dataset, target: Target) -> str:
    """Of the rows that `target`'s are named by: a scorecard without scores has its day too."""
    holder = next(t for t in dataset.targets if t.ids[-1] == target.named_by)
    return f"{dataset.name}_{holder.table}"


def _hidden(clickhouse: ClickHouse, target: Target, values: Mapping[str, Any]) -> Places:
    """The window's ids of which a shard also holds rows of another dataset, on the same day."""
    places: dict[tuple[str, str], set[date]] = defaultdict(set)
    for shard in clickhouse.shards:
        for profile, name, day in shard.query(_filled(_HIDDEN, target), values):
            places[profile, name].add(day)
    return places


def _inside(clickhouse: ClickHouse, target: Target, values: Mapping[str, Any]) -> Hashes:
    return np.concatenate([_hashes(s, _filled(_INSIDE, target), values) for s in clickhouse.shards])


def _places(clickhouse: ClickHouse, target: Target, wanted: Hashes, values: Mapping[str, Any]) -> Places:
    """The days outside the window on which any shard holds a row of these ids, in any version."""
    places: dict[tuple[str, str], set[date]] = defaultdict(set)
    for shard in clickhouse.shards:
        for hashes in _found(shard, target, wanted, values):
            for profile, name, day in shard.query(_filled(_DETAILS, target), {**values, "hashes": hashes}):
                places[profile, name].add(day)
    return places


def _found(shard: ShardStore, target: Target, wanted: Hashes, values: Mapping[str, Any]) -> Iterator[list[int]]:
    """Those of the wanted ids that the shard holds outside the window, some at a time."""
    buckets = int(shard.scalar(_filled(_COUNT, target), values)) // BUCKET_ROWS + 1
    for bucket in range(buckets):
        held = _hashes(shard, _filled(_OUTSIDE, target), {**values, "buckets": buckets, "bucket": bucket})
        both = np.intersect1d(wanted, held).tolist()
        yield from (both[i : i + DETAIL_HASHES] for i in range(0, len(both), DETAIL_HASHES))


def _hashes(shard: ShardStore, sql: str, values: Mapping[str, Any]) -> Hashes:
    with shard.translated():
        return np.asarray(shard.client().query_arrow(sql, parameters=dict(values))["h"].to_numpy(), dtype=np.int64)


def _filled(sql: str, target: Target) -> str:
    return sql.format(
        table=target.table,
        id=target.named_by,
        day=target.day_column,
        hash=clickhouse_fingerprint(_ids(target)),
        inside=window_scope(target),
        outside=f"{SCOPE}{target.only} AND NOT ({in_window(target)})",
        scope=SCOPE,
        window=in_window(target),
        only=target.only,
    )


def _ids(target: Target) -> dict[str, Content]:
    return dict.fromkeys(target.ids, Content.TEXT)
