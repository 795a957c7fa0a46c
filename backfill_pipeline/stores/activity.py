"""Per agent and day the conversations of a window, on both sides: what dashboards count as active days."""

from collections import Counter
from collections.abc import Sequence
from datetime import date

from backfill_pipeline.domain.datasets import Dataset
from backfill_pipeline.domain.findings import Active
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.stores.source import statement, window_values
from backfill_pipeline.stores.target import scope_values, window_scope

_SOURCE = "SELECT agent_user_id, ({day} AT TIME ZONE 'UTC')::date, count(*) FROM ({rows}) AS r GROUP BY 1, 2"
_TARGET = "SELECT agent_user_id, toDate({day}, 'UTC'), count() FROM {table} FINAL WHERE {scope} GROUP BY 1, 2"


def active_in_source(
    postgres: Postgres, dataset: Dataset, customer: str, profiles: Sequence[str], window: Window
) -> Active:
    sql = _SOURCE.format(day=dataset.main.day_column, rows=statement(f"{dataset.name}_{dataset.main.table}"))
    with postgres.snapshot() as connection:
        rows = connection.execute(sql.encode(), window_values(customer, profiles, window)).fetchall()
    return {(agent, day): count for agent, day, count in rows}


def active_in_target(
    clickhouse: ClickHouse, dataset: Dataset, customer: str, profiles: Sequence[str], window: Window
) -> Active:
    target = dataset.main
    sql = _TARGET.format(day=target.day_column, table=target.table, scope=window_scope(target))
    active: Counter[tuple[str, date]] = Counter()
    for shard in clickhouse.shards:
        for agent, day, count in shard.query(sql, scope_values(customer, profiles, window)):
            active[agent or "", day] += count
    return active
