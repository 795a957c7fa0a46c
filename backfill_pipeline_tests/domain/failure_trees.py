"""Jobs, pods and events that failed, as the API server answers them; the words are those of Kubernetes' own source."""

from collections.abc import Mapping, Sequence
from typing import Any

from backfill_pipeline.domain.causes import Cause

Tree = Mapping[str, Any]
Trees = tuple[Tree | None, Sequence[Tree], Sequence[Tree]]


def job(*conditions: Tree) -> Tree:
    return {"metadata": {"name": "one"}, "status": {"conditions": list(conditions)}}


def failed(reason: str, message: str) -> Tree:
    return job({"type": "Failed", "status": "True", "reason": reason, "message": message})


def pod(**status: Any) -> Tree:
    """One that has ended, if nothing else is given."""
    spec = {"containers": [{"name": "task"}]}
    return {"metadata": {"name": "one-x"}, "spec": spec, "status": {"phase": "Failed", **status}}


def waiting(reason: str, message: str) -> Tree:
    container = {"name": "task", "state": {"waiting": {"reason": reason, "message": message}}}
    return pod(phase="Pending", containerStatuses=[container])


def terminated(reason: str, exit_code: int, /, **status: Any) -> Tree:
    container = {"name": "task", "state": {"terminated": {"reason": reason, "exitCode": exit_code}}}
    return pod(phase="Failed", containerStatuses=[container], **status)


BACK_OFF = failed("BackoffLimitExceeded", "Job has reached the specified backoff limit")
LATE = failed("DeadlineExceeded", "Job was active longer than specified deadline")
LOW = (
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 81Mi. Container task was using 1843Mi, "
    "request is 512Mi, has larger consumption of memory. "
)
NO_ROOM = "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available: 3 No preemption victims found."
QUOTA = (
    'Error creating: pods "one-x" is forbidden: exceeded quota: jobs, requested: requests.memory=2Gi, '
    "used: requests.memory=8Gi, limited: requests.memory=8Gi"
)
NO_ENOUGH = "Pod was rejected: Node didn't have enough resource: {}, requested: 100, used: 200, capacity: 250"
THROWN_OUT = {
    "Preempting": "Preempted in order to admit critical pod",
    "NodeLost": "Node node-1 which was running pod one-x is unresponsive",
    "Shutdown": "Node is shutting, evicting pods",
    "NodeShutdown": "Pod was rejected as the node is shutting down.",
    "Terminated": "Pod was terminated in response to imminent node shutdown.",
    "NodeAffinity": "Pod was rejected: Predicate NodeAffinity failed",
    "OutOfcpu": NO_ENOUGH.format("cpu"),
    "OutOfmemory": NO_ENOUGH.format("memory"),
    "OutOfpods": NO_ENOUGH.format("pods"),
}
INSECURE = (
    'Error creating: pods "one-x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false '
    '(container "task" must set securityContext.allowPrivilegeEscalation=false)'
)
NO_ACCOUNT = (
    'Error creating: pods "one-x" is forbidden: error looking up service account jobs/tasks: '
    'serviceaccount "tasks" not found'
)
DENIED = 'Error creating: admission webhook "validation.example" denied the request: [owner] you must provide labels: {"owner"}'
NEVER = 'Container image "absent:1" is not present with pull policy of Never'
SUSPENDED = job({"type": "Suspended", "status": "True", "reason": "JobSuspended", "message": "Job suspended"})
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_ROOM}

TREES: tuple[tuple[Cause, Trees], ...] = (
    (Cause.IMAGE_PULL, (job(), [waiting("ImagePullBackOff", 'Back-off pulling image "absent:1"')], [])),
    (Cause.IMAGE_PULL, (job(), [waiting("ErrImagePull", "rpc error: code = NotFound desc = absent:1: not found")], [])),
    (Cause.IMAGE_PULL, (job(), [waiting("InvalidImageName", 'Failed to apply default image tag "a:b:c"')], [])),
    (Cause.IMAGE_PULL, (job(), [waiting("ErrImageNeverPull", NEVER)], [])),
    (Cause.MISSING, (job(), [waiting("CreateContainerConfigError", 'secret "tasks" not found')], [])),
    (Cause.OUT_OF_MEMORY, (BACK_OFF, [terminated("OOMKilled", 137)], [])),
    (Cause.EVICTED, (BACK_OFF, [pod(phase="Failed", reason="Evicted", message=LOW)], [])),
    (Cause.EVICTED, (BACK_OFF, [terminated("Error", 137, reason="Evicted", message=LOW)], [])),
    (
        Cause.EVICTED,
        (
            BACK_OFF,
            [pod(reason="Terminated", message="Pod was terminated in response to imminent node shutdown.")],
            [],
        ),
    ),
    *((Cause.EVICTED, (BACK_OFF, [pod(phase="Failed", reason=r, message=m)], [])) for r, m in THROWN_OUT.items()),
    (Cause.EVICTED, (BACK_OFF, [terminated("ContainerStatusUnknown", 137)], [])),
    (Cause.POD_REFUSED, (job(), [], [{"reason": "FailedCreate", "message": INSECURE}])),
    (Cause.POD_REFUSED, (job(), [], [{"reason": "FailedCreate", "message": NO_ACCOUNT}])),
    (Cause.POD_REFUSED, (job(), [], [{"reason": "FailedCreate", "message": DENIED}])),
    (Cause.SIGTERM, (BACK_OFF, [terminated("Error", 143)], [])),
    (Cause.UNSCHEDULABLE, (job(), [pod(phase="Pending", conditions=[UNSCHEDULED])], [])),
    (Cause.UNSCHEDULABLE, (job(), [], [{"reason": "FailedCreate", "message": QUOTA}])),
    (Cause.SUSPENDED, (SUSPENDED, [], [])),
    (Cause.DEADLINE, (LATE, [], [])),
    (Cause.DEADLINE, (LATE, [terminated("Error", 143)], [])),
    (
        Cause.DEADLINE,
        (
            BACK_OFF,
            [pod(reason="DeadlineExceeded", message="Pod was active on the node longer than the specified deadline")],
            [],
        ),
    ),
    (Cause.DEADLINE, (BACK_OFF, [terminated("Error", 143, reason="DeadlineExceeded")], [])),
    (Cause.GONE, (None, [], [])),
    (Cause.UNKNOWN, (BACK_OFF, [terminated("Error", 3)], [])),
)
