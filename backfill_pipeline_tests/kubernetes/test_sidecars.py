"""Pods with more containers than the task's: whose log is read."""

from collections.abc import Iterator

import pytest
from kubernetes import client

from backfill_pipeline.clients.kubernetes.jobs import KubernetesJobs
from backfill_pipeline.clients.launcher import JobState
from backfill_pipeline.stack.plan import IMAGE
from backfill_pipeline_tests.kubernetes.cluster import Namespace, until
from backfill_pipeline_tests.kubernetes.test_launch import CRONJOB, HELLO, changed, launch, over

SAYS = ["sh", "-c", "echo of the sidecar; exec sleep 300"]
POD = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill_pipeline.clients.kubernetes.jobs.SIDECAR_SECONDS", 2)


@pytest.fixture
def mesh(alone: Namespace) -> Iterator[None]:
    """Puts a container of its own before all others, as some do so that the network is there first."""
    command = ", ".join(f'"{part}"' for part in SAYS)
    value = f'Object.spec.containers{{name: "mesh", image: "{IMAGE}", command: [{command}]}}'
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    here = {"matchLabels": {"kubernetes.io/metadata.name": alone.name}}
    expression = f'[JSONPatch{{op: "add", path: "/spec/containers/0", value: {value}}}]'
    spec = {
        "matchConstraints": {"namespaceSelector": here, "resourceRules": [rule]},
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
    }
    admission = client.AdmissionregistrationV1Api(alone.api)
    named = {"metadata": {"name": alone.name}}
    admission.create_mutating_admission_policy({**named, "spec": spec})
    admission.create_mutating_admission_policy_binding({**named, "spec": {"policyName": alone.name}})
    until("the mesh is at work", lambda: len(_containers_of_a_new_pod(alone)) == 2)
    yield
    admission.delete_mutating_admission_policy_binding(alone.name)
    admission.delete_mutating_admission_policy(alone.name)


def _containers_of_a_new_pod(alone: Namespace) -> list[client.V1Container]:
    tried = client.CoreV1Api(alone.api).create_namespaced_pod(alone.name, POD, dry_run="All")
    return list(tried.spec.containers)


def test_a_sidecar_of_the_template_does_not_hide_the_tasks_log(alone: Namespace, jobs: KubernetesJobs) -> None:
    """The API server gives no log of a pod with two containers to who names none (400)."""
    alone.cronjob(CRONJOB, *HELLO)
    sidecar = client.V1Container(name="mesh", image=IMAGE, command=SAYS)
    changed(alone, lambda job: job.template.spec.containers.append(sidecar))
    jobs.ensure(launch())
    assert over(jobs, "one").state is JobState.SUCCEEDED
    assert (list(jobs.log("one")), jobs.log_error("one")) == (["hello one"], None)


def test_a_sidecar_that_goes_on_keeps_a_window_open_until_the_jobs_deadline(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    """Nothing of it is left: its room is wanted by the next window, and no writer may be in it."""
    alone.cronjob(CRONJOB, "python", "-c", "print('oops'); raise SystemExit(3)")
    sidecar = client.V1Container(name="mesh", image=IMAGE, command=SAYS)
    changed(alone, lambda job: job.template.spec.containers.append(sidecar))
    jobs.ensure(launch(deadline_seconds=600))
    until("its reason", lambda: "its task has ended" in jobs.status("one").reason)
    assert jobs.status("one").state is JobState.RUNNING
    assert list(jobs.log("one")) in ([], ["oops"])
    found = over(jobs, "one")
    assert (found.state, found.exit_code) == (JobState.FAILED, 3)
    assert found.reason == "its task has ended: container Error, exit code 3; at work beside it still: mesh"
    assert (list(jobs.log("one")), jobs.log_error("one")) == (["oops"], None)
    until("its end", lambda: not client.CoreV1Api(alone.api).list_namespaced_pod(alone.name).items)
    until("the Job's own, which waits for its pod's", lambda: jobs._job("one") is None)
    assert jobs.status("one") == found, "what became of it is known still"
    assert KubernetesJobs(alone.api, alone.name, None).status("one").state is JobState.GONE


def test_a_sidecar_that_ends_soon_after_its_task_costs_a_job_and_its_log(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    alone.cronjob(CRONJOB, *HELLO)
    sidecar = client.V1Container(name="mesh", image=IMAGE, command=["sleep", "1.5"])
    changed(alone, lambda job: job.template.spec.containers.append(sidecar))
    jobs.ensure(launch())
    assert over(jobs, "one").reason == "exit code 0"
    assert KubernetesJobs(alone.api, alone.name, None).status("one").state is JobState.SUCCEEDED


@pytest.mark.usefixtures("mesh")
def test_the_log_of_a_sidecar_that_was_put_in_is_not_taken_for_the_tasks(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    alone.cronjob(CRONJOB, *HELLO)
    jobs.ensure(launch())
    [pod] = until("its pod", lambda: client.CoreV1Api(alone.api).list_namespaced_pod(alone.name).items)
    assert over(jobs, "one").state is JobState.SUCCEEDED
    assert [c.name for c in pod.spec.containers] == ["mesh", "batch-reindex-conversations"]
    assert (list(jobs.log("one")), jobs.log_error("one")) == (["hello one"], None)
