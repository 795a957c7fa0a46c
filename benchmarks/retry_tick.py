"""How long a tick of the retry sensor takes: 260 customers, a year of days, all failed. `python benchmarks/retry_tick.py`

On a real PostgreSQL: the ledger and Dagster's storage. The first looks read every run that ever ended, 3,000 each, and decide
nothing; a later one reads what ended since. Then all is given up, and shown and told; no webhook is asked.
"""

import logging
import os
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import psycopg
from dagster._core.utils import make_new_run_id

from backfill_pipeline.config import Config, Limits, load
from backfill_pipeline.defs import tags
from backfill_pipeline.defs.memory import Memory
from backfill_pipeline.defs.partitions import range_tags
from backfill_pipeline.defs.retry import Looker, show_quarantine, told
from backfill_pipeline.domain.retries import Of
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stack.supervisor import Stack
from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.pauses import end_pause, write_pause

SILENT = logging.Logger("nobody listens")
CUSTOMERS, YEAR, WINDOW_DAYS = 260, Window(date(2025, 1, 1), date(2026, 1, 1)), 31


def main() -> None:
    with TemporaryDirectory() as folder, Stack(Path(folder), parts=frozenset({"postgres"})) as state:
        os.environ.update(state.environment())
        config = load(state.config_path)
        with dg.instance_for_test(overrides={"storage": storage(config)}) as instance:
            measure(instance, config)


def storage(config: Config) -> dict[str, Any]:
    """Dagster's own, in a database beside the ledger: SQLite would make a file per run."""
    address = config.ledger
    assert address
    where = {"host": address.host, "port": address.port, "user": address.user, "password": address.password()}
    with psycopg.connect(**where, dbname="postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE runs")
    names = {"hostname": "host", "port": "port", "username": "user", "password": "password"}
    return {"postgres": {"postgres_db": {**{n: where[k] for n, k in names.items()}, "db_name": "runs"}}}


def measure(instance: dg.DagsterInstance, config: Config) -> None:
    keys = {dg.AssetKey([of.dataset, of.cluster, of.customer]): of for of in assets()}
    count = make_runs(instance, list(keys))
    print(f"{count:,} failed runs of {CUSTOMERS} customers, {CUSTOMERS * len(YEAR.days):,} failed days")
    policy = Limits(retry_attempts=3, retry_delay_seconds=60).retry_policy
    ledger = open_ledger(config)
    resume(ledger, {of.cluster for of in keys.values()})
    looker = Looker(instance, ledger, keys, policy)
    memory = ticks(looker, Memory(), 6)
    print("all given up:")
    ticks(replace(looker, policy=replace(policy, attempts=0)), memory, 4)


def ticks(looker: Looker, memory: Memory, count: int) -> Memory:
    """Whole ones, but for the webhook and the runs that Dagster would launch."""
    later = datetime.now(UTC) + timedelta(hours=9)
    for n in range(1, count + 1):
        started = time.perf_counter()
        tick = looker.look(memory, later)
        looked = time.perf_counter()
        shown = show_quarantine(tick, looker, SILENT)
        memory = Memory.of(told(shown, looker, SILENT).cursor())
        took = time.perf_counter() - started
        print(
            f"tick {n}: {took:5.1f} s, of which the look {looked - started:4.1f}; {len(tick.changed):,} days changed, "
            f"{len(tick.days):,} known, {len(tick.due)} due, {len(shown.quarantine):,} of {len(tick.quarantine):,} shown"
            + ("; catching up" if tick.is_behind else ""),
            flush=True,
        )
    return memory


def assets() -> list[Of]:
    """On eight clusters."""
    return [Of(f"c{n % 8}", f"customer-{n}", "conversations") for n in range(CUSTOMERS)]


def resume(ledger: Ledger, clusters: Iterable[str]) -> None:
    """As an operator does after a year that failed whole: otherwise the clusters are stopped, and nothing is due."""
    for cluster in clusters:
        write_pause(ledger, cluster, why="all has failed", by_whom="a benchmark")
        end_pause(ledger, cluster)


def make_runs(instance: dg.DagsterInstance, keys: list[dg.AssetKey]) -> int:
    """As they stand in the storage when they have failed; their events play no part."""
    windows = YEAR.split(WINDOW_DAYS)
    said = {tags.CAUSE: "deadlock", tags.REMEDY: "again", tags.EVIDENCE: "deadlock detected"}
    for window in windows:
        for key in keys:
            run_id = make_new_run_id()
            instance.run_storage.add_run(
                dg.DagsterRun(
                    run_id=run_id,
                    job_name="__ASSET_JOB",
                    status=dg.DagsterRunStatus.FAILURE,
                    asset_selection=frozenset({key}),
                    tags={**range_tags(window), **said, tags.SAID_BY: run_id},
                )
            )
    return len(windows) * len(keys)


if __name__ == "__main__":
    main()
