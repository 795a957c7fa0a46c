"""The cron task's exit code under load: a task that did its work must not be told as failed."""

import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from backfill_pipeline.domain import contracts
from backfill_pipeline_tests.faults.windows import CLUSTER, CUSTOMER
from backfill_pipeline_tests.live import Live

TASK = [sys.executable, "-m", "backfill_pipeline.worker.tasks.batch_reindex_conversations"]
RUNS, AT_ONCE = 24, 4  # 1 in 8 died before: 24 good ones by chance are 4 in 100


def test_a_good_task_is_not_called_failed_because_it_crashed_while_it_ended(engines: Live) -> None:
    env = {
        **os.environ, "BACKFILL_CLUSTER": CLUSTER, contracts.ENV_CUSTOMERS: CUSTOMER,
        contracts.ENV_START: "2026-01-20T00:00:00Z", contracts.ENV_END: "2026-01-21T00:00:00Z",
        contracts.ENV_ATTEMPT_ID: str(uuid4()),
    }  # fmt: skip

    def run(_: int) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(TASK, env=env, capture_output=True, text=True, timeout=60)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(run, range(RUNS)))
    assert Counter(d.returncode for d in done) == {0: RUNS}
    assert len({d.stdout for d in done}) == 1, "each adopts the workflow of the first, and says so"
    assert all("execution_id=reindexconversations-acme-" in d.stdout for d in done)
