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
OWN_CONTROLLER = "kubernetes.io/job-controller"
QUOTA = ("exceeded quota", "status unknown for quota")


def status_of(
    job: Tree | None, pods: Sequence[Tree], events: Sequence[Tree] = (), thrown_out: Sequence[str] = ()
) -> JobStatus:
    """The Job's state in our words.

    Args:
        events: of the Job itself, asked for where it has no pod yet; they alone tell why.
        thrown_out: what its pods have told of that so far: they are gone when their Job says that it failed.
    """
    if job is None:
        return _without_job(pods)
    over = _over(job, pods, thrown_out)
    if over and (left := at_work(pods)):  # clusters before 1.31 say so first, and give the pod its grace after that
        return JobStatus(JobState.RUNNING, reason=f"it is over, and its pod {', '.join(left)} is ending")
    if over:
        return over
    if job["metadata"].get("deletionTimestamp"):
        return JobStatus(JobState.RUNNING, reason="it is being deleted")
    if any(pod.get("status", {}).get("phase") == "Running" for pod in pods):
        task = outlived(job, pods)
        return JobStatus(JobState.RUNNING, reason="; ".join([*thrown_out, *([task.reason] if task else [])]))
    if pods and not at_work(pods):
        return JobStatus(JobState.RUNNING, reason="; ".join([*thrown_out, "its pod has ended"]))
    return _pending(job, pods, events, thrown_out)


def _over(job: Tree, pods: Sequence[Tree], thrown_out: Sequence[str]) -> JobStatus | None:
    if _condition(job, "Complete"):
        return JobStatus(JobState.SUCCEEDED, 0, "exit code 0")
    failed = _condition(job, "Failed")
    if failed is None:
        return None
    return JobStatus(JobState.FAILED, _exit_code(pods), "; ".join([*thrown_out, _said(failed), *_ends(pods)]))


def _pending(job: Tree, pods: Sequence[Tree], events: Sequence[Tree], thrown_out: Sequence[str]) -> JobStatus:
    suspended = _condition(job, "Suspended")
    refused = None if suspended else _refused(events)
    waits = "; ".join([*thrown_out, *_waits(pods)])
    reason = waits or next((_said(tree) for tree in (suspended, refused) if tree), _no_pod(job))
    is_stuck = _is_stuck(pods) or (refused is not None and not _may_pass(refused))
    return JobStatus(JobState.PENDING, reason=reason, is_stuck=is_stuck)


def _no_pod(job: Tree) -> str:
    manager = job.get("spec", {}).get("managedBy") or OWN_CONTROLLER
    others = f": {manager} manages this Job, and Kubernetes itself leaves it alone. Look there why it has not begun"
    return "no pod yet" + (others if manager != OWN_CONTROLLER else "")


def outlived(job: Tree | None, pods: Sequence[Tree]) -> JobStatus | None:
    """What the Job's task came to, where a container beside it goes on, and the Job with it; else None."""
    if job is None or job["metadata"].get("deletionTimestamp") or at_work(pods):
        return None
    live = [pod["status"] for pod in pods if pod["status"].get("phase") == "Running"]
    containers = [container for status in live for container in status.get("containerStatuses") or []]
    others = [str(c["name"]) for c in containers if "terminated" not in c.get("state", {})]
    tasks = {task_of(pod) for pod in pods}
    ends = [c["state"]["terminated"] for c in containers if c["name"] in tasks]
    if not others or not ends:
        return None
    code = next((end["exitCode"] for end in ends if end["exitCode"]), 0)
    reason = f"its task has ended: {'; '.join(map(_ended, ends))}; at work beside it still: {', '.join(others)}"
    return JobStatus(JobState.FAILED if code else JobState.SUCCEEDED, code, reason)


def disruptions(pods: Sequence[Tree]) -> list[str]:
    """Why pods are ended by somebody else than their Job: by who empties or takes down a node, or needs their room."""
    found = [condition for pod in pods if (condition := _condition(pod, "DisruptionTarget"))]
    return [f"pod {c.get('reason')}: {c.get('message', '')}".rstrip(": ") for c in found]


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
            yield _ended(state)


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


def _refused(events: Sequence[Tree]) -> Tree | None:
    """The last that the Job's controller told of a pod that it may not make."""
    found = [e for e in events if e.get("reason") == "FailedCreate"]
    return max(reversed(found), key=lambda e: str(e.get("lastTimestamp") or ""), default=None)


def _may_pass(refused: Tree) -> bool:
    """A quota is given back by others; an account that is not there, or a rule that forbids such pods, only a person mends."""
    return any(text in str(refused.get("message")) for text in QUOTA)


def _ended(state: Tree) -> str:
    return f"container {state.get('reason')}, exit code {state['exitCode']}" + _more(state)


def _said(tree: Tree) -> str:
    return f"{tree.get('reason')}" + _more(tree)


def _more(tree: Tree) -> str:
    return f" ({tree['message']})" if tree.get("message") else ""
