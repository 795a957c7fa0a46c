"""A cluster's configuration file, and the task and worker as processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backfill_pipeline.config import ClickHouseAddress, PostgresAddress
from backfill_pipeline.reach import TemporalAddress
from backfill_pipeline_tests.worker import servers

CLUSTER = "north"
CUSTOMERS: list[dict[str, Any]] = [{"id": "acme"}, {"id": "globex", "profiles": ["default", "emea"]}]


def write_config(
    folder: Path,
    temporal: TemporalAddress,
    source: PostgresAddress | None = None,
    target: ClickHouseAddress | None = None,
    **limits: int,
) -> Path:
    cluster: dict[str, Any] = {"name": CLUSTER, "customers": CUSTOMERS, "temporal": temporal.model_dump()}
    if source and target:
        cluster |= {"postgres": source.model_dump(), "clickhouse": target.model_dump()}
    path = folder / "config.json"
    path.write_text(json.dumps({"clusters": [cluster], "limits": limits}, default=str))
    return path


def environment(config: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "BACKFILL_CONFIG": str(config), "BACKFILL_CLUSTER": CLUSTER, **more}


def run_task(config: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "backfill_pipeline.worker.tasks.batch_reindex_conversations"]
    return subprocess.run(command, env=environment(config, **env), capture_output=True, text=True, timeout=90)


@contextmanager
def worker(config: Path, **env: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "backfill_pipeline.worker", "--cluster", CLUSTER]
    log = (config.parent / "worker.log").open("ab")
    process = subprocess.Popen(command, env=environment(config, **env), stdout=log, stderr=log)
    with servers.ended(process):
        yield process
