"""How a container ends on a real runtime: by its memory limit, by SIGTERM to its first process, or after that by force."""

import time

import pytest

from backfill_pipeline.clients.kubernetes.jobs import KubernetesJobs
from backfill_pipeline.clients.launcher import JobState
from backfill_pipeline.domain.failures import Cause, diagnose
from backfill_pipeline_tests.kubernetes.cluster import Namespace, until
from backfill_pipeline_tests.kubernetes.real.jobs import cronjob
from backfill_pipeline_tests.kubernetes.test_launch import launch, over

pytestmark = [pytest.mark.real_node, pytest.mark.usefixtures("node")]
SMALL = {"requests": {"memory": "32Mi"}, "limits": {"memory": "32Mi"}}
TAKES_64_MIB = "dd if=/dev/zero of=/dev/null bs=64M count=1"
HEEDS = "trap 'echo last words; exit 0' TERM; echo at work; while :; do sleep 0.1; done"
HEEDS_NOT = "echo at work; exec sleep 300"  # the kernel gives a first process no signal that it has no handler for
SECONDS_TO_NOTICE = 5


def test_a_container_that_outgrew_its_memory_is_told_from_one_that_failed(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    cronjob(alone, f"echo at work; exec {TAKES_64_MIB}", resources=SMALL)
    jobs.ensure(launch())
    found = over(jobs, "one", 60)
    assert (found.state, found.exit_code) == (JobState.FAILED, 137)
    assert "OOMKilled" in found.reason
    assert diagnose([found.reason]).cause is Cause.OUT_OF_MEMORY
    assert list(jobs.log("one")) == ["at work"]


def test_a_child_process_that_outgrew_the_memory_is_told_though_its_parent_ended_by_itself(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    cronjob(alone, f"{TAKES_64_MIB}; exit 1", resources=SMALL)
    jobs.ensure(launch())
    found = over(jobs, "one", 60)
    assert (found.state, found.exit_code) == (JobState.FAILED, 1)
    assert diagnose([found.reason]).cause is Cause.OUT_OF_MEMORY


def test_k2_a_container_that_ended_is_not_begun_again_by_a_policy_of_its_own(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    """Its pod's policy is Never, and yet it would begin again, and again what it began before."""
    rule = {"action": "Restart", "exitCodes": {"operator": "In", "values": [3]}}
    cronjob(alone, "echo at work; exit 3", restartPolicy="Never", restartPolicyRules=[rule])
    jobs.ensure(launch())
    found = over(jobs, "one", 60)
    assert (found.state, found.exit_code) == (JobState.FAILED, 3)
    assert list(jobs.log("one")) == ["at work"]


def test_a_cancelled_job_may_end_in_order_and_its_last_line_is_kept(alone: Namespace, jobs: KubernetesJobs) -> None:
    cronjob(alone, HEEDS)
    at_work(jobs)
    assert seconds_to_cancel(jobs) < SECONDS_TO_NOTICE
    assert list(jobs.log("one")) == ["at work", "last words"]


def test_a_cancelled_job_that_heeds_no_signal_is_killed_before_the_cancel_gives_up(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    """Else the next run could not begin: what a Job wrote after a delete would be lost rows."""
    cronjob(alone, HEEDS_NOT)
    at_work(jobs)
    assert seconds_to_cancel(jobs) > SECONDS_TO_NOTICE
    assert jobs.status("one").state is JobState.GONE


def test_k1_a_job_at_its_deadline_may_end_in_order_and_its_last_line_is_kept(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    """Its pod is deleted with its log, so only who was listening has it."""
    cronjob(alone, HEEDS)
    at_work(jobs, deadline_seconds=5)
    found = over(jobs, "one", 60)
    assert found.state is JobState.FAILED
    assert diagnose([found.reason]).cause is Cause.DEADLINE
    assert list(jobs.log("one")) == ["at work", "last words"]


def test_k1_a_job_that_heeds_no_signal_does_not_outlive_its_deadline_by_more_than_its_grace(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    cronjob(alone, HEEDS_NOT)
    at_work(jobs, deadline_seconds=5)
    found = over(jobs, "one", 60)
    assert diagnose([found.reason]).cause is Cause.DEADLINE
    assert list(jobs.log("one")) == ["at work"]


def at_work(jobs: KubernetesJobs, *, deadline_seconds: float = 120) -> None:
    jobs.ensure(launch(deadline_seconds=deadline_seconds))
    until("its first line", lambda: list(jobs.log("one")) == ["at work"])


def seconds_to_cancel(jobs: KubernetesJobs) -> float:
    started = time.monotonic()
    jobs.cancel("one")
    return time.monotonic() - started
