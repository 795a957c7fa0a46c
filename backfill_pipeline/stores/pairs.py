"""Ids that one of two tables of the target lacks: compared by id over all days and shards, never per day.

Of the window, hashes are compared; what is left, normally next to nothing, is looked for in the other table's whole span.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from backfill_pipeline.domain.datasets import Dataset
from backfill_pipeline.domain.findings import NAMED, Finding, Findings
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.target import SCOPE, scope_values

DETAIL_HASHES = 2_000  # ids looked up by one query: they travel in the URL
_BETWEEN = "{moment} >= {{start:DateTime64(3,'UTC')}} AND {moment} < {{end:DateTime64(3,'UTC')}}"
_HASHES = "SELECT DISTINCT cityHash64({ids}) AS h FROM {table} FINAL WHERE {scope} AND {between}"
_ANYWHERE = (
    "SELECT DISTINCT cityHash64({ids}) FROM {table} FINAL "
    "WHERE {scope} AND {moment} IS NOT NULL AND cityHash64({ids}) IN {{hashes:Array(UInt64)}}"
)
_DETAILS = (
    "SELECT DISTINCT toDate({moment}, 'UTC'), {id} FROM {table} FINAL "
    "WHERE {scope} AND {between} AND cityHash64({ids}) IN {{hashes:Array(UInt64)}}"
)


@dataclass(frozen=True)
class _Side:
    """A table, and the time whose day is the window's."""

    table: str
    moment: str
    ids: tuple[str, ...]
    only: str

    def filled(self, sql: str) -> str:
        return sql.format(
            table=self.table,
            moment=self.moment,
            ids=", ".join(self.ids),
            id=self.ids[-1],
            scope=SCOPE + self.only,
            between=_BETWEEN.format(moment=self.moment).replace("{{", "{").replace("}}", "}"),
        )


def unpaired(
    clickhouse: ClickHouse, dataset: Dataset, customer: str, profiles: Sequence[str], window: Window
) -> Findings:
    """Per day the ids of the window that the dataset's table or its pair lacks.

    Raises:
        PipelineError: any shard could not be asked; there is no partial answer.
    """
    assert dataset.pair is not None
    main, values = dataset.main, scope_values(customer, profiles, window)
    own = _Side(main.table, main.day_column, main.ids, main.only)
    other = _Side(dataset.pair.table, dataset.pair.moment, main.ids, "conversation_id != ''")
    found: dict[date, list[Finding]] = {d: [] for d in window.days}
    for here, there in ((other, own), (own, other)):
        for day, ids in _only_in(clickhouse, here, there, values).items():
            found[day].append(Finding(f"ids of {here.table} have no row in {there.table}", len(ids), _sample(ids)))
    return found


def _sample(ids: set[str]) -> tuple[str, ...]:
    return tuple(sorted(ids)[:NAMED])


def _only_in(clickhouse: ClickHouse, here: _Side, there: _Side, values: Mapping[str, Any]) -> Mapping[date, set[str]]:
    left = np.setdiff1d(_hashes(clickhouse, here, values), _hashes(clickhouse, there, values))
    found: dict[date, set[str]] = defaultdict(set)
    for part in _parts(left.tolist()):
        asked = {**values, "hashes": part}
        elsewhere = {h for s in clickhouse.shards for (h,) in s.query(there.filled(_ANYWHERE), asked)}
        missing = {**values, "hashes": [h for h in part if h not in elsewhere]}
        for shard in clickhouse.shards if missing["hashes"] else ():
            for day, name in shard.query(here.filled(_DETAILS), missing):
                found[day].add(name)
    return found


def _parts(hashes: list[int]) -> Iterator[list[int]]:
    yield from (hashes[i : i + DETAIL_HASHES] for i in range(0, len(hashes), DETAIL_HASHES))


def _hashes(clickhouse: ClickHouse, side: _Side, values: Mapping[str, Any]) -> "np.ndarray[Any, np.dtype[np.uint64]]":
    columns = []
    for shard in clickhouse.shards:
        with shard.translated():
            found = shard.client().query_arrow(side.filled(_HASHES), parameters=dict(values))["h"].to_numpy()
        columns.append(np.asarray(found, dtype=np.uint64))
    return np.unique(np.concatenate(columns))
