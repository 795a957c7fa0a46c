"""What a Job and its pods say about how it goes. Pure: trees as the API server answers them, one status out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backfill_pipeline.clients.launcher import JobState, JobStatus

Tree = Mapping[str, Any]
# The annotation by which `kubectl logs` knows a pod's main container, and by which whoever adds a sidecar names it.
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
# Reasons of a waiting container that nobody but a person can end.
STUCK = (
    *("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"),
    *("CreateContainerConfigError", "CreateContainerError"),
)


def status_of(job: Tree | None, pods: Sequence[Tree], events: Sequence[Tree] = ()) -> JobStatus:
    """events: of the Job itself, asked for where it has no pod yet; they alone tell of a quota."""
    if job is None:
        return _without_job(pods)
    ended = _condition(job, "Complete"), _condition(job, "Failed")
    if ended[0]:
        return JobStatus(JobState.SUCCEEDED, 0, "exit code 0")
    if ended[1]:
        return JobStatus(JobState.FAILED, _exit_code(pods), "; ".join([_said(ended[1]), *_ends(pods)]))
    if job["metadata"].get("deletionTimestamp"):
        return JobStatus(JobState.RUNNING, reason="it is being deleted")
    if any(pod.get("status", {}).get("phase") == "Running" for pod in pods):
        return JobStatus(JobState.RUNNING)
    suspended = _condition(job, "Suspended")
    reason = "; ".join(_waits(pods)) or (_said(suspended) if suspended else _quota(events)) or "no pod yet"
    return JobStatus(JobState.PENDING, reason=reason, is_stuck=_is_stuck(pods))


def task_of(pod: Tree) -> str:
    """The container that does the Job's work; the others are its sidecars."""
    names = [str(container["name"]) for container in pod["spec"]["containers"]]
    marked = (pod["metadata"].get("annotations") or {}).get(DEFAULT_CONTAINER)
    return marked if marked in names else names[0]


def has_ended(pod: Tree, container: str) -> bool:
    """Whether it writes no more: a sidecar may outlive it, and a pod that was thrown out tells of no container."""
    status = pod.get("status", {})
    ends = {c["name"] for c in status.get("containerStatuses") or [] if "terminated" in c.get("state", {})}
    return container in ends or status.get("phase") in ("Succeeded", "Failed")


def at_work(pods: Sequence[Tree]) -> list[str]:
    """Names of those that may write, or begin to."""
    return [str(pod["metadata"].get("name")) for pod in pods if not has_ended(pod, task_of(pod))]


def _without_job(pods: Sequence[Tree]) -> JobStatus:
    """Who deletes a Job may leave its pods behind: `--cascade=orphan` does, and any other way for as long as their grace."""
    if left := at_work(pods):
        return JobStatus(JobState.RUNNING, reason=f"the Job was deleted, and its pod {', '.join(left)} is at work")
    return JobStatus(JobState.GONE, reason="the Job is not there: deleted, or its TTL was over")


def _is_stuck(pods: Sequence[Tree]) -> bool:
    """Whether a pod waits for what will not come by itself."""
    return any(w.get("reason") in STUCK for pod in pods for w in _states(pod, "waiting"))


def _condition(tree: Tree, kind: str) -> Tree | None:
    conditions = tree.get("status", {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind and c["status"] == "True"), None)


def _exit_code(pods: Sequence[Tree]) -> int | None:
    codes = [t["exitCode"] for pod in pods for t in _states(pod, "terminated")]
    return next((c for c in codes if c), None)


def _ends(pods: Sequence[Tree]) -> Iterator[str]:
    for pod in pods:
        status = pod.get("status", {})
        if status.get("reason"):
            yield f"pod {status['reason']}: {status.get('message', '')}".rstrip(": ")
        for state in _states(pod, "terminated"):
            yield f"container {state.get('reason')}, exit code {state['exitCode']}" + _more(state)


def _waits(pods: Sequence[Tree]) -> Iterator[str]:
    for pod in pods:
        conditions = pod.get("status", {}).get("conditions") or []
        for condition in conditions:
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                yield _said(condition)
        for state in _states(pod, "waiting"):
            yield _said(state)


def _states(pod: Tree, kind: str) -> Iterator[Tree]:
    status = pod.get("status", {})
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        if kind in container.get("state", {}):
            yield container["state"][kind]


def _quota(events: Sequence[Tree]) -> str:
    found = [e for e in events if e.get("reason") == "FailedCreate"]
    return _said(found[-1]) if found else ""


def _said(tree: Tree) -> str:
    return f"{tree.get('reason')}" + _more(tree)


def _more(tree: Tree) -> str:
    return f" ({tree['message']})" if tree.get("message") else ""
