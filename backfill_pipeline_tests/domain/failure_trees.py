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
    (Cause.GONE, (None, [], [])),
    (Cause.UNKNOWN, (BACK_OFF, [terminated("Error", 3)], [])),
)
