"""Ids that have more than one row: after FINAL, across days, partitions, shards and the datasets of a shared table, over the
customer's whole span.

A ReplacingMergeTree never collapses rows whose sort key differs (trap L7), and no shard sees another's rows. Inside a
shard the engine groups; between shards 64-bit hashes of the ids are compared, in buckets so that memory stays flat.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from backfill_pipeline.domain.datasets import Dataset, Target
from backfill_pipeline.domain.verdicts import Doubled
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.clickhouse import ClickHouse, ShardStore
from backfill_pipeline.stores.target import SCOPE, scope_values, window_scope

SAMPLE = 5
BUCKET_ROWS = 4_000_000  # hashes of one shard held at once: 32 MB
DETAIL_HASHES = 5_000  # ids looked up by one query

_INSIDE_SHARD = """
SELECT day, count(), groupUniqArrayArray(days), groupArray({sample})(id) FROM (
    SELECT {id} AS id, groupUniqArray(toDate({day}, 'UTC')) AS days, groupUniqArrayIf(toDate({day}, 'UTC'), {only}) AS own
    FROM {table} FINAL
    WHERE {span} AND ({ids}) IN (SELECT {ids} FROM {table} WHERE {scope})
    GROUP BY {ids} HAVING count() > 1
) ARRAY JOIN own AS day
WHERE day >= toDate({{start:DateTime64(3,'UTC')}}, 'UTC') AND day < toDate({{end:DateTime64(3,'UTC')}}, 'UTC')
GROUP BY day
"""
_COUNT = "SELECT count() FROM {table} WHERE {span}"
_HASHES = """
SELECT DISTINCT cityHash64({ids}) AS h FROM {table} FINAL
WHERE {span} AND cityHash64({ids}) % {{buckets:UInt64}} = {{bucket:UInt64}}
"""
_DETAILS = """
SELECT DISTINCT {id}, toDate({day}, 'UTC'), {only} FROM {table} FINAL
WHERE {span} AND cityHash64({ids}) IN {{hashes:Array(UInt64)}}
"""


def doubled_ids(
    clickhouse: ClickHouse, dataset: Dataset, customer: str, profiles: Sequence[str], window: Window
) -> tuple[Doubled, ...]:
    """Per day of the window and table the ids with more than one row, wherever the others lie.

    Raises:
        PipelineError: any shard could not be asked; there is no partial answer.
    """
    values = scope_values(customer, profiles, window)
    return tuple(d for t in dataset.targets for d in _of_table(clickhouse, t, values, window))


def _of_table(clickhouse: ClickHouse, target: Target, values: Mapping[str, Any], window: Window) -> Iterator[Doubled]:
    inside = [row for s in clickhouse.shards for row in s.query(_filled(_INSIDE_SHARD, target), values)]
    yield from (
        Doubled(day, target.table, int(ids), 0, tuple(sorted(days)), tuple(sample)) for day, ids, days, sample in inside
    )
    if len(clickhouse.shards) > 1:
        yield from _across_shards(clickhouse, target, values, window)


def _across_shards(
    clickhouse: ClickHouse, target: Target, values: Mapping[str, Any], window: Window
) -> Iterator[Doubled]:
    places: dict[str, set[date]] = defaultdict(set)
    own: dict[date, set[str]] = defaultdict(set)
    for hashes in _shared_hashes(clickhouse, target, values):
        for shard in clickhouse.shards:
            for name, day, is_own in shard.query(_filled(_DETAILS, target), {**values, "hashes": hashes}):
                places[name].add(day)
                own[day] |= {name} if is_own else set()
    for day in window.days:
        ids = sorted(own[day])
        if ids:
            also = tuple(sorted(set().union(*(places[i] for i in ids))))
            yield Doubled(day, target.table, len(ids), len(ids), also, tuple(ids[:SAMPLE]))


def _shared_hashes(clickhouse: ClickHouse, target: Target, values: Mapping[str, Any]) -> Iterator[list[int]]:
    rows = max(int(s.scalar(_filled(_COUNT, target), values)) for s in clickhouse.shards)
    buckets = rows // BUCKET_ROWS + 1
    for bucket in range(buckets):
        at = {**values, "buckets": buckets, "bucket": bucket}
        columns = [_hashes(s, _filled(_HASHES, target), at) for s in clickhouse.shards]
        together = np.sort(np.concatenate(columns))
        shared = np.unique(together[1:][together[1:] == together[:-1]]).tolist()
        yield from (shared[i : i + DETAIL_HASHES] for i in range(0, len(shared), DETAIL_HASHES))


def _hashes(shard: ShardStore, sql: str, values: Mapping[str, Any]) -> "np.ndarray[Any, np.dtype[np.uint64]]":
    with shard.translated():
        return np.asarray(shard.client().query_arrow(sql, parameters=dict(values))["h"].to_numpy(), dtype=np.uint64)


def _filled(sql: str, target: Target) -> str:
    return sql.format(
        table=target.table,
        day=target.day_column,
        ids=", ".join(target.ids),
        id=f"arrayStringConcat([{', '.join(i for i in target.ids if i != 'customer_id')}], '/')",
        span=f"{SCOPE}1",
        only=target.only,
        scope=window_scope(target),
        sample=SAMPLE,
    )
