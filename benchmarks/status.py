"""Seconds until `backfill status` has printed 260 customers with a month of days each, whole process, imports included."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from psycopg.types.json import Jsonb

from backfill_pipeline.config import Config, Customer, load
from backfill_pipeline.stack.embedded_config import PARTS
from backfill_pipeline.stack.supervisor import Stack
from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.ledger import Ledger

CUSTOMERS = (86, 80, 49, 28, 6, 5, 4, 2)
FIRST, DAYS, WINDOW = date(2026, 1, 1), 31, 10
REPEATS = 5


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "stack", parts=PARTS - {"dagster"}) as state:
        os.environ.update(state.environment())
        config = load(state.config_path)
        filled = fill(config, open_ledger(config))
        path = Path(folder) / "config.json"
        path.write_text(filled.model_dump_json(exclude_unset=True))
        measured = [_seconds(path) for _ in range(REPEATS)]
    seconds, own = (statistics.median(m[n] for m in measured) for n in (0, 1))
    print(
        f"status of {sum(CUSTOMERS)} customers and {DAYS} days, whole process: {seconds:.2f} s, its own CPU {own:.2f} s"
    )


def _seconds(path: Path) -> tuple[float, float]:
    """By the clock, and of the process's own CPU: a busy machine changes the first."""
    command = [sys.executable, "-m", "backfill_pipeline.cli", "status", "--config", str(path)]
    span = ["--start-time", str(FIRST), "--end-time", str(FIRST + timedelta(days=DAYS - 1))]
    begun, used = time.perf_counter(), _children()
    done = subprocess.run([*command, *span], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr  # nobody knows Dagster's address here
    return time.perf_counter() - begun, _children() - used


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def fill(config: Config, ledger: Ledger) -> Config:
    """A month of proved days in the ledger for 8 clusters; their systems are those of the first one."""
    first = config.clusters[0]
    clusters = [
        first.model_copy(
            update={"name": f"many{n}", "customers": [Customer(id=f"many-{n}-{i}") for i in range(count)]},
        )
        for n, count in enumerate(CUSTOMERS)
    ]
    with ledger.transaction() as connection, connection.cursor() as cursor:
        cursor.executemany(_INSERT, [row for c in clusters for u in c.customers for row in _rows(c.name, u.id)])
    return config.model_copy(update={"clusters": clusters, "datasets": ["conversations"]})


def _rows(cluster: str, customer: str) -> list[tuple[object, ...]]:
    starts = [FIRST + timedelta(days=n) for n in range(0, DAYS, WINDOW)]
    return [_row(cluster, customer, s, min(s + timedelta(days=WINDOW), FIRST + timedelta(days=DAYS))) for s in starts]


def _row(cluster: str, customer: str, start: date, end: date) -> tuple[object, ...]:
    days = [str(start + timedelta(days=n)) for n in range((end - start).days)]
    proof = {
        "days": {d: {"verdict": "MATCH", "reasons": []} for d in days},
        "rows": {d: {"conversation": 1000, "scorecard": 900, "score": 9000} for d in days},
        "seconds": {"inspect": 1.0, "waited": 0.0, "delete": 2.0, "follow": 30.0},
    }
    return (str(uuid4()), cluster, customer, start, end, datetime.now(UTC), Jsonb(proof))


_INSERT = """
INSERT INTO audit.attempts
    (attempt_id, run_id, cluster, customer, dataset, start_day, end_day, marker, outcome, launched_by, proof, hash)
VALUES (%s, 'run', %s, %s, 'conversations', %s, %s, %s, 'done', 'benchmark', %s, 'none')
"""


if __name__ == "__main__":
    main()
