"""What ClickHouse holds: counts and fingerprints per day, rows from the future, and ids with more than one row.

Everything is asked of the local tables of every shard, after FINAL: `_d` tables may lag and dashboards read FINAL.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from backfill_pipeline.domain.datasets import DATASETS, Dataset, Target
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.verdicts import Sums, TableSum, by_profile
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.clickhouse import ClickHouse, ShardStore
from backfill_pipeline.stores.sql.verify.fingerprints import clickhouse_fingerprint, compared

SCOPE = "customer_id = {customer:String} AND profile_id IN {profiles:Array(String)} AND "
_IN_WINDOW = "{day} >= {{start:DateTime64(3,'UTC')}} AND {day} < {{end:DateTime64(3,'UTC')}}"
_PER_DAY = """
SELECT profile_id, toDate({day}, 'UTC'), count(), sum(toInt128({fingerprint})), {surplus}
FROM {table} FINAL WHERE {scope} GROUP BY 1, 2
"""
_UNOWNED = """
SELECT '{table}', countIf(profile_id NOT IN {{profiles:Array(String)}} AND ({taken})), countIf(NOT ({taken}))
FROM {table} WHERE customer_id = {{customer:String}}
"""
_FUTURE = "SELECT count() FROM {table} WHERE {scope} AND {version} > {{limit:DateTime64(6,'UTC')}}"


class Unowned(NamedTuple):
    """Rows. foreign: of profiles that are not named. orphans: of no dataset."""

    foreign: int
    orphans: int


def scope_values(customer: str, profiles: Sequence[str], window: Window) -> dict[str, Any]:
    return {
        "customer": customer,
        "profiles": list(profiles),
        "start": window.start_time,
        "end": window.end_time,
    }


def in_window(target: Target) -> str:
    return _IN_WINDOW.format(day=target.day_column)


def window_scope(target: Target) -> str:
    """Predicate of one customer's rows of a window, with bound parameters."""
    return f"{SCOPE}{in_window(target)} AND {target.only}"


def target_sums(
    clickhouse: ClickHouse,
    dataset: Dataset,
    customer: str,
    profiles: Sequence[str],
    window: Window,
    columns: Mapping[str, Mapping[str, str]],
    *,
    fingerprints: bool = True,
) -> Mapping[str, Sums]:
    """Rows and fingerprints per profile, day and table, added up over the shards.

    Raises:
        PipelineError: any shard's count failed; there is no partial answer.
    """
    values = scope_values(customer, profiles, window)
    per_table = {
        t.table: _table_sums(clickhouse, t, _fingerprint(t, columns, fingerprints), values) for t in dataset.targets
    }
    return by_profile(per_table, profiles, window.days)


def _table_sums(
    clickhouse: ClickHouse, target: Target, fingerprint: str, values: Mapping[str, Any]
) -> dict[tuple[str, date], TableSum]:
    sql = _PER_DAY.format(
        day=target.day_column,
        fingerprint=fingerprint,
        table=target.table,
        scope=window_scope(target),
        # Where rows move a changed one is a second one: many of them must not look like a source that shrank.
        surplus=f"count() - uniqExact({', '.join(target.ids)})" if target.moves else "0",
    )
    sums: dict[tuple[str, date], TableSum] = {}
    for shard in clickhouse.shards:
        for profile, day, *found in shard.query(sql, values):
            sums[profile, day] = sums.get((profile, day), TableSum()) + TableSum(*map(int, found))
    return sums


def _fingerprint(target: Target, columns: Mapping[str, Mapping[str, str]], is_wanted: bool) -> str:
    return clickhouse_fingerprint(compared(target, columns[target.table])) if is_wanted else "0"


def future_rows(
    clickhouse: ClickHouse,
    dataset: Dataset,
    customer: str,
    profiles: Sequence[str],
    window: Window,
    *,
    above: datetime,
) -> dict[str, int]:
    """Per table the window's rows whose version lies above that moment (aware)."""
    values = {**scope_values(customer, profiles, window), "limit": above.astimezone(UTC)}
    return {t.table: sum(int(s.scalar(_future_sql(t), values)) for s in clickhouse.shards) for t in dataset.targets}


def _future_sql(target: Target) -> str:
    return _FUTURE.format(table=target.table, scope=window_scope(target), version=target.version)


def unowned_rows(
    clickhouse: ClickHouse, tables: Sequence[str], customer: str, profiles: Sequence[str]
) -> dict[str, Unowned]:
    """Per table the customer's rows that no window counts or deletes, and dashboards read."""
    sql = "UNION ALL".join(_UNOWNED.format(table=t, taken=_taken(t)) for t in tables)
    found = dict.fromkeys(tables, Unowned(0, 0))
    for shard in clickhouse.shards:
        for table, foreign, orphans in shard.query(sql, {"customer": customer, "profiles": list(profiles)}):
            found[table] = Unowned(found[table].foreign + foreign, found[table].orphans + orphans)
    return found


def _taken(table: str) -> str:
    return " OR ".join(f"({t.only})" for d in DATASETS.values() for t in d.targets if t.table == table)


def queued_blocks(clickhouse: ClickHouse, dataset: Dataset) -> int:
    """Blocks that wait in the distribution queues of the dataset's `_d` tables (trap L0)."""
    tables = [f"{t.table}_d" for t in dataset.targets]
    sql = (
        "SELECT sum(data_files) FROM system.distribution_queue "
        "WHERE database = currentDatabase() AND table IN {tables:Array(String)}"
    )
    return sum(int(s.scalar(sql, {"tables": tables}) or 0) for s in clickhouse.shards)


def dead_shards(clickhouse: ClickHouse) -> tuple[str, ...]:
    return tuple(str(s) for s in clickhouse.shards if not _answers(s))


def _answers(shard: ShardStore) -> bool:
    try:
        return bool(shard.scalar("SELECT 1") == 1)
    except PipelineError as error:
        if error.kind is Kind.UNREACHABLE:
            return False
        raise


def rows_since(clickhouse: ClickHouse, tables: Sequence[str], version: datetime) -> int:
    """Rows of these tables with at least this version, over all shards: how far a reindex has come."""
    sql = "SELECT count() FROM {table} WHERE update_time >= {{version:DateTime64(6,'UTC')}}"
    return sum(int(s.scalar(sql.format(table=t), {"version": version})) for s in clickhouse.shards for t in tables)
