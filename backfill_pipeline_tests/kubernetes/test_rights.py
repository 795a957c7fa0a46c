"""deploy/rbac.yaml is enough to launch, follow and end; all else is forbidden, and what is missing is named."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from backfill_pipeline.clients.kubernetes.jobs import LAST_LINES_SECONDS, KubernetesJobs
from backfill_pipeline.clients.launcher import JobState
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.stack.processes import PROJECT
from backfill_pipeline_tests.kubernetes.account import ACCOUNT, without
from backfill_pipeline_tests.kubernetes.cluster import Namespace, deployed
from backfill_pipeline_tests.kubernetes.test_launch import HELLO, launch, over

TASK = "cron-batch-reindex-conversations"


def launched(name: str = "one") -> Any:
    return launch(name).__class__(**{**vars(launch(name)), "cronjob": TASK})


def test_its_rights_are_enough(alone: Namespace, account: client.ApiClient) -> None:
    alone.cronjob(TASK, *HELLO)
    jobs = KubernetesJobs(account, alone.name, "stack")
    jobs.ensure(launched())
    assert jobs.ensure(launched()).adopted
    assert over(jobs, "one").state is JobState.SUCCEEDED
    assert list(jobs.log("one")) == ["hello one"]
    assert jobs.log_error("one") is None
    alone.apply({"kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}})
    jobs.ensure(launched("two"))
    assert jobs.status("two").state is JobState.PENDING
    jobs.cancel("two")
    assert jobs.status("two").state is JobState.GONE
    jobs.close()


POD = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
FORBIDDEN: dict[str, Callable[[Any, Any, str], Any]] = {
    "list cronjobs": lambda batch, _, here: batch.list_namespaced_cron_job(here),
    "another cronjob": lambda batch, _, here: batch.read_namespaced_cron_job("other", here),
    "patch a cronjob": lambda batch, _, here: batch.patch_namespaced_cron_job(TASK, here, {"spec": {"suspend": True}}),
    "list jobs": lambda batch, _, here: batch.list_namespaced_job(here),
    "patch a job": lambda batch, _, here: batch.patch_namespaced_job("one", here, {"spec": {"suspend": True}}),
    "jobs elsewhere": lambda batch, _, __: batch.read_namespaced_job("one", "default"),
    "create a pod": lambda _, core, here: core.create_namespaced_pod(here, POD),
    "delete a pod": lambda _, core, here: core.delete_namespaced_pod("x", here),
    "read secrets": lambda _, core, here: core.list_namespaced_secret(here),
    "read a config map": lambda _, core, here: core.read_namespaced_config_map("kube-root-ca.crt", here),
    "list namespaces": lambda _, core, __: core.list_namespace(),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_all_else_is_forbidden(alone: Namespace, account: client.ApiClient, what: str) -> None:
    with pytest.raises(ApiException) as raised:
        FORBIDDEN[what](client.BatchV1Api(account), client.CoreV1Api(account), alone.name)
    assert raised.value.status == 403


def test_who_may_create_jobs_gets_at_every_secret_of_the_namespace_and_of_no_other(
    alone: Namespace, account: client.ApiClient
) -> None:
    """No rule of Kubernetes forbids it, and so deploy/rbac.yaml must not say that it does."""
    client.CoreV1Api(alone.api).create_namespaced_secret(
        alone.name, {"metadata": {"name": "another"}, "stringData": {"KEY": "hunter2"}}
    )
    jobs, batch = KubernetesJobs(account, alone.name, None), client.BatchV1Api(account)
    alone.cronjob(TASK, *HELLO)
    reads = jobs.manifest(launched())
    container = reads["spec"]["template"]["spec"]["containers"][0]
    container |= {"command": ["python", "-c", "import os; print(os.environ['KEY'])"]}
    container["envFrom"] = [{"secretRef": {"name": "another"}}]
    batch.create_namespaced_job(alone.name, reads)
    assert over(jobs, "one").state is JobState.SUCCEEDED
    assert list(jobs.log("one")) == ["hunter2"]
    with pytest.raises(ApiException, match="403"):
        batch.create_namespaced_job("default", reads)
    assert "any Secret and any ServiceAccount of that namespace" in (PROJECT / "deploy" / "rbac.yaml").read_text()
    jobs.close()


@pytest.mark.parametrize(
    ("verb", "resource", "rule"),
    [
        ("get", "cronjobs", '{apiGroups: ["batch"], resources: [cronjobs], verbs: [get]}'),
        ("create", "jobs", '{apiGroups: ["batch"], resources: [jobs], verbs: [create]}'),
        ("list", "pods", '{apiGroups: [""], resources: [pods], verbs: [list]}'),
    ],
)
def test_a_missing_right_is_named_with_account_and_rule(
    alone: Namespace, account: client.ApiClient, verb: str, resource: str, rule: str
) -> None:
    alone.cronjob(TASK, *HELLO)
    without(alone, verb, resource)
    with pytest.raises(PipelineError) as raised:
        _launch_and_look(KubernetesJobs(account, alone.name, None))
    assert rule in raised.value.next_step
    assert f"system:serviceaccount:{alone.name}:{ACCOUNT} may not {verb} {resource}" in raised.value.why


RIGHTS = [
    (verb, resource)
    for tree in deployed("rbac.yaml")
    for rule in tree.get("rules", [])
    for resource in rule["resources"]
    for verb in rule["verbs"]
]


@pytest.mark.parametrize(("verb", "resource"), RIGHTS)
def test_a_right_of_the_role_is_missed_only_when_the_days_are_emptied(
    alone: Namespace, account: client.ApiClient, verb: str, resource: str
) -> None:
    alone.cronjob(TASK, *HELLO)
    KubernetesJobs(account, alone.name, None).check(launched())
    without(alone, verb, resource)
    with pytest.raises(PipelineError, match=f"may not {verb} {resource}") as raised:
        KubernetesJobs(account, alone.name, None).check(launched())
    assert f"resources: [{resource}], verbs: [{verb}]" in raised.value.next_step
    assert client.BatchV1Api(alone.api).list_namespaced_job(alone.name).items == []


def test_a_check_of_rights_ends_the_job_that_it_finds(alone: Namespace, account: client.ApiClient) -> None:
    alone.cronjob(TASK, "sleep", "300")
    KubernetesJobs(account, alone.name, None).ensure(launched())
    KubernetesJobs(account, alone.name, None).check(launched())
    assert client.BatchV1Api(alone.api).read_namespaced_job("one", alone.name).metadata.deletion_timestamp is None


def test_a_job_whose_events_may_not_be_read_fails_its_window(alone: Namespace, account: client.ApiClient) -> None:
    alone.cronjob(TASK, *HELLO)
    alone.apply({"kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}})
    without(alone, "list", "events")
    jobs = KubernetesJobs(account, alone.name, None)
    jobs.ensure(launched())
    found = jobs.status("one")
    assert found.state is JobState.PENDING
    assert (
        f"no pod yet; why is not known: system:serviceaccount:{alone.name}:{ACCOUNT} may not list events"
        in found.reason
    )


def test_the_check_before_a_delete_passes_an_account_that_can_t_make_the_job(
    alone: Namespace, account: client.ApiClient
) -> None:
    alone.cronjob(TASK, *HELLO)
    jobs = KubernetesJobs(account, alone.name, None)
    jobs.check(launched())
    without(alone, "create", "jobs")
    with pytest.raises(PipelineError, match="may not create jobs"):
        jobs.check(launched())


def _launch_and_look(jobs: KubernetesJobs) -> None:
    jobs.ensure(launched())
    jobs.status("one")


def test_a_log_that_may_not_be_read_is_told_by_its_missing_rule_and_the_job_is_followed_without_it(
    alone: Namespace, account: client.ApiClient
) -> None:
    """It was asked for again each second, in silence, and every look at the Job that was over took ten."""
    alone.cronjob(TASK, *HELLO)
    without(alone, "get", "pods/log")
    jobs = KubernetesJobs(account, alone.name, None)
    jobs.ensure(launched())
    assert over(jobs, "one").state is JobState.SUCCEEDED
    started = time.monotonic()
    assert list(jobs.log("one")) == []
    assert time.monotonic() - started < LAST_LINES_SECONDS / 2
    error = jobs.log_error("one")
    assert error
    assert error.why == f"system:serviceaccount:{alone.name}:{ACCOUNT} may not get pods/log"
    assert '- {apiGroups: [""], resources: [pods/log], verbs: [get]}' in error.next_step
    jobs.close()
