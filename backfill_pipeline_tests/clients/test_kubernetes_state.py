"""A Job's state from what the API server says: trees as a real one (1.36) answered them, shortened."""

from typing import Any

import pytest

from backfill_pipeline.clients.kubernetes.state import (
    DEFAULT_CONTAINER,
    disruptions,
    has_ended,
    outlived,
    status_of,
    task_of,
)
from backfill_pipeline.clients.launcher import JobState

Tree = dict[str, Any]


def job(*conditions: Tree, **metadata: Any) -> Tree:
    return {"metadata": {"name": "one", **metadata}, "status": {"conditions": list(conditions)}}


def condition(kind: str, reason: str = "", message: str = "") -> Tree:
    return {"type": kind, "status": "True", "reason": reason, "message": message}


def pod(phase: str, *states: Tree, **status: Any) -> Tree:
    statuses = [{"name": f"c{n}", "state": state} for n, state in enumerate(states)]
    spec = {"containers": [{"name": s["name"]} for s in statuses] or [{"name": "c0"}]}
    return {
        "metadata": {"name": "one"},
        "spec": spec,
        "status": {"phase": phase, "containerStatuses": statuses, **status},
    }


FAILED = condition("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient cpu.",
}


def test_a_job_that_is_not_there_is_neither_good_nor_bad() -> None:
    assert status_of(None, []).state is JobState.GONE


def test_a_job_is_not_over_before_its_controller_says_so() -> None:
    """A pod that ended well is not yet a Job that ended well: its condition may still say the deadline was over."""
    ended = pod("Succeeded", {"terminated": {"exitCode": 0, "reason": "Completed"}})
    assert not status_of(job(), [ended]).state.is_over
    assert status_of(job(condition("Complete")), [ended]).state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ({"terminated": {"exitCode": 3, "reason": "Error"}}, "container Error, exit code 3"),
        ({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, "container OOMKilled, exit code 137"),
        (
            {"terminated": {"exitCode": 128, "reason": "StartError", "message": "no such file"}},
            "container StartError, exit code 128 (no such file)",
        ),
    ],
)
def test_a_failed_job_tells_how_its_container_ended(end: Tree, words: str) -> None:
    found = status_of(job(FAILED), [pod("Failed", end)])
    assert (found.state, found.exit_code) == (JobState.FAILED, end["terminated"]["exitCode"])
    assert words in found.reason
    assert "BackoffLimitExceeded" in found.reason


def test_a_container_that_ended_well_does_not_hide_the_one_that_did_not() -> None:
    good, bad = ({"terminated": {"exitCode": code, "reason": "said"}} for code in (0, 4))
    assert status_of(job(FAILED), [pod("Failed", good, bad)]).exit_code == 4


def test_an_eviction_and_a_deadline_are_told_by_name() -> None:
    evicted = pod("Failed", reason="Evicted", message="The node was low on resource: memory.")
    assert "pod Evicted: The node was low on resource: memory." in status_of(job(FAILED), [evicted]).reason
    late = condition("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
    assert status_of(job(late), []).reason == "DeadlineExceeded (Job was active longer than specified deadline)"


@pytest.mark.parametrize(
    "reason", ["EvictionByEvictionAPI", "PreemptionByScheduler", "DeletionByTaintManager", "TerminationByKubelet"]
)
def test_a_pod_that_was_thrown_out_passes_for_a_task_that_failed(reason: str) -> None:
    """It is gone with its words when its Job says that it failed, so they are handed on."""
    conditions = [condition("DisruptionTarget", reason, "a node is emptied")]
    words = disruptions([pod("Running", {"running": {}}, conditions=conditions)])
    assert words == [f"pod {reason}: a node is emptied"]
    assert status_of(job(), [pod("Running", {"running": {}})], (), words).reason == words[0]
    assert status_of(job(FAILED), [], (), words).reason.startswith(f"{words[0]}; BackoffLimitExceeded")
    assert disruptions([pod("Running", {"running": {}})]) == []


def test_d16_a_job_that_is_over_before_its_pod_is_ended_is_written_beside() -> None:
    """Clusters before 1.31 say so at the deadline, and then give the pod its grace."""
    late = job(condition("Failed", "DeadlineExceeded", "Job was active longer than specified deadline"))
    found = status_of(late, [pod("Running", {"running": {}})])
    assert (found.state, found.reason) == (JobState.RUNNING, "it is over, and its pod one is ending")
    assert (
        status_of(late, [pod("Failed", {"terminated": {"exitCode": 137, "reason": "Error"}})]).state is JobState.FAILED
    )


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_not_said_to_be_missing(phase: str) -> None:
    found = status_of(job(), [pod(phase, {"terminated": {"exitCode": 0, "reason": "said"}})])
    assert (found.state, found.reason) == (JobState.RUNNING, "its pod has ended")


def test_a_pending_job_says_what_it_waits_for() -> None:
    suspended = condition("Suspended", "JobSuspended", "Job suspended")
    assert status_of(job(suspended), []).reason == "JobSuspended (Job suspended)"
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
    assert status_of(job(), [pod("Pending", waiting)]).reason == "ImagePullBackOff (Back-off pulling image)"
    found = status_of(job(), [pod("Pending", conditions=[UNSCHEDULABLE])])
    assert found.reason == "Unschedulable (0/1 nodes are available: 1 Insufficient cpu.)"
    quota = {"reason": "FailedCreate", "message": "pods is forbidden: exceeded quota: none"}
    assert "exceeded quota" in status_of(job(), [], [{"reason": "SuccessfulCreate"}, quota]).reason
    assert status_of(job(), []).reason == "no pod yet"
    assert status_of({**job(), "spec": {"managedBy": "kubernetes.io/job-controller"}}, []).reason == "no pod yet"


def test_a_job_that_another_controller_has_not_taken_waits_without_a_word_of_it() -> None:
    status = status_of({**job(), "spec": {"managedBy": "kueue.x-k8s.io/multikueue"}}, [])
    assert (status.state, status.is_stuck) == (JobState.PENDING, False), "it may be its turn in an hour"
    assert "kueue.x-k8s.io/multikueue manages this Job" in status.reason


@pytest.mark.parametrize("reason", ["ErrImagePull", "ErrImageNeverPull", "CreateContainerConfigError"])
def test_what_does_not_come_by_itself_is_not_waited_for_until_the_deadline(reason: str) -> None:
    assert status_of(job(), [pod("Pending", {"waiting": {"reason": reason}})]).is_stuck


def test_a_container_that_is_being_made_is_not_given_up() -> None:
    assert not status_of(job(), [pod("Pending", {"waiting": {"reason": "ContainerCreating"}})]).is_stuck


def create_fails(message: str, at: str = "") -> Tree:
    return {"reason": "FailedCreate", "message": message, "lastTimestamp": at}


NO_ACCOUNT = (
    'Error creating: pods "one-" is forbidden: error looking up service account cron/no: serviceaccount "no" not found'
)
NO_POLICY = 'Error creating: pods "one-" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
USED_UP = (
    'Error creating: pods "one-" is forbidden: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0'
)


@pytest.mark.parametrize("message", [NO_ACCOUNT, NO_POLICY])
def test_a_pod_that_may_not_be_made_is_waited_for_until_the_deadline(message: str) -> None:
    found = status_of(job(), [], [create_fails(message)])
    assert (found.is_stuck, found.reason) == (True, f"FailedCreate ({message})")


def test_a_quota_that_others_give_back_is_waited_for() -> None:
    assert not status_of(job(), [], [create_fails(USED_UP)]).is_stuck
    both = [create_fails(USED_UP, "2026-01-01T00:00:02Z"), create_fails(NO_ACCOUNT, "2026-01-01T00:00:01Z")]
    assert "exceeded quota" in status_of(job(), [], both).reason, "the last counts, in whatever order they come"
    assert not status_of(job(), [], both).is_stuck


def a_pod(*containers: str, marked: str | None = None, ended: tuple[str, ...] = (), phase: str = "Running") -> Tree:
    statuses = [{"name": n, "state": {"terminated": {"exitCode": 0}} if n in ended else {}} for n in containers]
    return {
        "metadata": {"name": "one", "annotations": {DEFAULT_CONTAINER: marked} if marked else None},
        "spec": {"containers": [{"name": name} for name in containers]},
        "status": {"phase": phase, "containerStatuses": statuses},
    }


@pytest.mark.parametrize(
    ("found", "task"),
    [
        (a_pod("task", "mesh"), "task"),
        (a_pod("mesh", "task", marked="task"), "task"),
        (a_pod("task", "mesh", marked="no-such"), "task"),
    ],
)
def test_a_sidecar_is_not_taken_for_the_task(found: Tree, task: str) -> None:
    assert task_of(found) == task


def test_a_sidecar_that_goes_on_does_not_keep_the_tasks_log_open() -> None:
    assert has_ended(a_pod("task", "mesh", ended=("task",)), "task")
    assert not has_ended(a_pod("task", "mesh", ended=("mesh",)), "task")
    assert has_ended({"status": {"phase": "Failed"}}, "task"), "an eviction tells of no container"


def test_a_sidecar_that_goes_on_hides_for_hours_that_the_task_has_ended() -> None:
    pods = [a_pod("task", "mesh", ended=("task",))]
    task = outlived(job(), pods)
    assert task
    assert (task.state, task.exit_code) == (JobState.SUCCEEDED, 0)
    found = status_of(job(), pods)
    assert (found.state, found.exit_code) == (JobState.RUNNING, None)
    assert found.reason == "its task has ended: container None, exit code 0; at work beside it still: mesh"
    pods[0]["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] = 3
    failed = outlived(job(), pods)
    assert failed
    assert (failed.state, failed.exit_code) == (JobState.FAILED, 3)


@pytest.mark.parametrize(
    ("found", "pods"),
    [
        (job(), [a_pod("task", "mesh", ended=("mesh",))]),
        (job(), [a_pod("task", "mesh", ended=("task", "mesh"))]),
        (job(), [a_pod("task", "mesh", ended=("task",)), a_pod("task")]),
        (job(), [a_pod("task", phase="Failed")]),
        (job(deletionTimestamp="2026-01-01T00:00:00Z"), [a_pod("task", "mesh", ended=("task",))]),
        (None, [a_pod("task", "mesh", ended=("task",))]),
    ],
    ids=["sidecar ended", "all ended", "another pod", "no word of it", "deleted", "gone"],
)
def test_a_job_is_over_while_its_task_may_write_or_its_controller_speaks_for_it(
    found: Tree | None, pods: list[Tree]
) -> None:
    assert outlived(found, pods) is None


def test_d16_a_pod_that_outlives_its_job_writes_on_unseen() -> None:
    found = status_of(None, [a_pod("task", "mesh", ended=("task",)), a_pod("task")])
    assert (found.state, found.reason) == (JobState.RUNNING, "the Job was deleted, and its pod one is at work")
    assert status_of(None, [a_pod("task", phase="Pending")]).state is JobState.RUNNING, "it may begin"
    for over in (a_pod("task", "mesh", ended=("task",)), a_pod("task", phase="Failed")):
        assert status_of(None, [over]).state is JobState.GONE


def test_a_job_being_deleted_is_not_over_before_it_is_gone() -> None:
    assert status_of(job(deletionTimestamp="2026-01-01T00:00:00Z"), []).state is JobState.RUNNING
