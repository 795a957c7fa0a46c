"""A Job that the kernel kills for its memory, from the backfill to days that are right, with nobody's hand.

Its task holds memory for each of its days: ten are more than its container may have, five are not.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from kubernetes import client

from backfill_pipeline.config import load
from backfill_pipeline.defs import tags
from backfill_pipeline.stack.kubernetes.control_plane import ControlPlane
from backfill_pipeline.stack.kubernetes.kubebox import kubebox
from backfill_pipeline.stack.kubernetes.prepare import namespace_of
from backfill_pipeline.stack.processes import PROJECT
from backfill_pipeline.stack.state import StackState
from backfill_pipeline.stack.supervisor import Stack
from backfill_pipeline_tests.e2e.ui import Ui, eventually, key
from backfill_pipeline_tests.kubernetes.cluster import administrator
from backfill_pipeline_tests.kubernetes.real.cannot import check_machine
from backfill_pipeline_tests.kubernetes.real.image import IMAGE
from backfill_pipeline_tests.kubernetes.real.jobs import MACHINE, THERE, mounted
from backfill_pipeline_tests.kubernetes.real.place import real_node
from backfill_pipeline_tests.live import WHOLE, live
from benchmarks.january.operator import seen, way

pytestmark = pytest.mark.real_node
CONFIG = """
datasets: [conversations]
limits: {retry_delay_seconds: 2, lease_seconds: 8, poll_seconds: 0.3}
clusters:
  - name: north
    customers:
      - {id: acme, window_days: 10}
"""
TASK, CONTAINER = "cron-batch-reindex-conversations", "batch-reindex-conversations"
GROWS = """
import os, runpy
from datetime import datetime
start, end = (datetime.fromisoformat(os.environ[f"REINDEX_{which}_TIME"]) for which in ("START", "END"))
held = b"x" * ((end - start).days * 60 << 20)
runpy.run_module("backfill_pipeline.worker.tasks.batch_reindex_conversations", run_name="__main__")
"""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    check_machine()
    folder, config = tmp_path_factory.mktemp("pipeline"), tmp_path_factory.mktemp("config") / "config.yaml"
    config.write_text(CONFIG)
    with Stack(folder, config=config, launcher="kubernetes") as state:
        plane = ControlPlane(folder / "kubernetes", kubebox(print), state.ports, state.logs)
        with real_node(plane, tmp_path_factory.mktemp("node"), [_temporal(state)]):
            _let_the_task_grow(plane, folder)
            yield Ui(live("pipeline", state))


def _temporal(state: StackState) -> str:
    live("pipeline", state)
    address = load(state.config_path).cluster("north").temporal
    assert address
    return address.address


def _let_the_task_grow(plane: ControlPlane, folder: Path) -> None:
    """The stack's CronJob, on the real node: this machine's Python instead of an image, in the node's network."""
    volumes, mounts = mounted([*MACHINE, folder])
    container = {
        "name": CONTAINER,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",  # `latest` made it Always
        "command": [sys.executable, "-c", GROWS],
        "env": [{"name": "PYTHONPATH", "value": str(PROJECT)}],
        "volumeMounts": mounts,
    }
    pod = {**THERE, "hostNetwork": True, "volumes": volumes, "containers": [container]}
    with administrator(plane) as api:
        patch = {"spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}}}
        client.BatchV1Api(api).patch_namespaced_cron_job(TASK, namespace_of("north"), patch)


def test_days_whose_job_was_killed_for_its_memory_are_right_after_smaller_jobs(pipeline: Ui) -> None:
    pipeline.live.make_data()
    asset = key("north", "acme")
    (killed,) = pipeline.backfilled([asset], WHOLE).runs
    (again,) = eventually("the retry", lambda: pipeline.runs(**{tags.RETRY_OF: killed}))
    assert pipeline.run_over(again.run_id) is dg.DagsterRunStatus.SUCCESS
    with pipeline.instance() as instance:
        records = instance.get_run_records(dg.RunsFilter(run_ids=[killed, again.run_id]), ascending=True)
        print("", *way(records, ("north", "acme")), *seen(instance, records[0]), sep="\n")
    before, after = (r.dagster_run for r in records)
    assert before.status is dg.DagsterRunStatus.FAILURE
    assert (before.tags[tags.CAUSE], before.tags[tags.REMEDY]) == ("out of memory", "again, smaller")
    assert "OOMKilled" in before.tags[tags.EVIDENCE]
    assert (before.tags[tags.JOB_DAYS], after.tags[tags.JOB_DAYS]) == ("10", "5")
    assert pipeline.failed_partitions(asset) == []
    assert pipeline.materialized_by(again.run_id) == [str(d) for d in WHOLE.days]
    assert not pipeline.live.wrong_rows("north", "acme", WHOLE)
