"""The launcher inside a pod: logged in by what is mounted there, with the rights of deploy/rbac.yaml."""

import sys
from typing import Any

import pytest
from kubernetes import client

from backfill_pipeline.clients.kubernetes.jobs import KubernetesJobs
from backfill_pipeline.clients.launcher import JobState
from backfill_pipeline.stack.processes import PROJECT
from backfill_pipeline_tests.kubernetes.cluster import Namespace, deployed, until
from backfill_pipeline_tests.kubernetes.real.image import IMAGE
from backfill_pipeline_tests.kubernetes.real.jobs import MACHINE, THERE, cronjob, mounted
from backfill_pipeline_tests.kubernetes.test_launch import over

pytestmark = [pytest.mark.real_node, pytest.mark.usefixtures("node")]
ACCOUNT, TASK = "backfill-pipeline", "cron-batch-reindex-conversations"
SCRIPT = f"""
import sys, time
from backfill_pipeline.clients.kubernetes.login import opened
from backfill_pipeline.config import Launcher
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.domain.plans import Launch
jobs = opened(Launcher(kind="kubernetes", namespace=sys.argv[1]))
jobs.ensure(Launch("one", "{TASK}", {{"MARK": "a pod"}}, {{}}, {{}}, 60))
end = time.monotonic() + 60
while not jobs.status("one").state.is_over and time.monotonic() < end:
    time.sleep(0.2)
print(jobs.status("one").state, *jobs.log("one"), jobs.where("one"), sep="; ")
try:
    opened(Launcher(kind="kubernetes", namespace="default")).status("one")
except PipelineError as error:
    print(error.code, error.why)
"""


def test_in_a_pod_the_mounted_token_is_enough_to_launch_and_follow(alone: Namespace, jobs: KubernetesJobs) -> None:
    for tree in deployed("rbac.yaml"):
        alone.apply(tree)
    cronjob(alone, "echo hello from $MARK", name=TASK)
    core = client.CoreV1Api(alone.api)
    core.create_namespaced_pod(alone.name, _pod(alone.name))
    until("the pod is over", lambda: _phase(core, alone) in ("Succeeded", "Failed"), seconds=90)
    lines = core.read_namespaced_pod_log("launcher", alone.name, _preload_content=False).data.decode().splitlines()
    assert lines[0] == f"succeeded; hello from a pod; kubectl -n {alone.name} logs job/one"
    assert lines[1].startswith("403 ")
    assert f"system:serviceaccount:{alone.name}:{ACCOUNT}" in lines[1]
    assert over(jobs, "one").state is JobState.SUCCEEDED


def _phase(core: client.CoreV1Api, alone: Namespace) -> str:
    return str(core.read_namespaced_pod("launcher", alone.name).status.phase)


def _pod(namespace: str) -> dict[str, Any]:
    volumes, mounts = mounted(MACHINE)
    container = {
        "name": "launcher",
        "image": IMAGE,
        "command": [sys.executable, "-c", SCRIPT, namespace],
        "env": [{"name": "PYTHONPATH", "value": str(PROJECT)}],
        "volumeMounts": mounts,
    }
    spec = {
        **THERE,
        "serviceAccountName": ACCOUNT,
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": volumes,
    }
    return {"metadata": {"name": "launcher"}, "spec": spec}
