"""Dagster's instance: what must be mended before its daemon starts, and the limits of its pools.

Without the first, runs whose process is gone stay STARTED for ever and keep their pools (dagster-facts, 12); without the
second a changed limit never reaches an existing pool.
"""

from collections.abc import Collection, Sequence

import dagster as dg
import psutil

from backfill_pipeline.config import Config
from backfill_pipeline.domain.naming import cluster_pool, customer_pool

UNFINISHED = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
_PAGE = 1000


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report every unfinished run whose process is not on this machine as failed; returns their ids."""
    dead = [
        r.dagster_run
        for r in instance.get_run_records(dg.RunsFilter(statuses=list(UNFINISHED)), limit=_PAGE)
        if not process_is_alive(instance, r.dagster_run)
    ]
    for run in dead:
        instance.report_run_failed(run, "its process was gone when the stack started: rerun the failed days")
    return [r.run_id for r in dead]


def process_is_alive(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the process of this machine that said it works on the run is still the same one."""
    for event in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        pid = event.dagster_event.engine_event_data.metadata.get("pid") if event.dagster_event else None
        if pid and psutil.pid_exists(int(str(pid.value))):
            return bool(psutil.Process(int(str(pid.value))).create_time() <= event.timestamp)
    return False


def set_pool_limits(instance: dg.DagsterInstance, config: Config, paused: Collection[str] = ()) -> None:
    """paused: clusters on which nothing may start."""
    for pool, limit in pools(config, paused):
        instance.event_log_storage.set_concurrency_slots(pool, limit)


def pools(config: Config, paused: Collection[str] = ()) -> Sequence[tuple[str, int]]:
    """Every pool with its limit: runs at once per cluster, and one per customer over all its datasets."""
    clusters = [(cluster_pool(c.name), 0 if c.name in paused else c.max_runs) for c in config.clusters]
    customers = [(customer_pool(c.name, u.id), 1) for c in config.clusters for u in c.customers]
    return [*clusters, *customers]
