"""Kubernetes: reasons and messages of Jobs, pods and events, as `clients/kubernetes/state.py` puts them together."""

from backfill_pipeline.domain.causes import Cause, Remedy, Rule

KUBERNETES: tuple[Rule, ...] = (
    Rule(
        Cause.IMAGE_PULL,
        Remedy.BY_HAND,
        "the image can't be pulled; look at its name, its tag and the pull secret",
        phrases=(r"\b(?:ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull)\b(?: \(|$|;)",),
    ),
    Rule(
        Cause.OUT_OF_MEMORY,
        Remedy.SMALLER,
        "what ran outgrew its memory limit; fewer days, or a higher limit in the CronJob",
        phrases=(r"\bcontainer OOMKilled\b", r"^A read outgrew its memory\b"),
    ),
    Rule(
        Cause.EVICTED,
        Remedy.WAIT,
        "the node was short of something, or was taken down, and threw the pod out",
        phrases=(r"\bpod Evicted(?:: |$|;)", r"\bPod was terminated in response to imminent node shutdown"),
    ),
    Rule(
        Cause.UNSCHEDULABLE,
        Remedy.WAIT,
        "no node has room for the pod, or a quota is used up",
        phrases=(r"\bUnschedulable \(", r" is forbidden: exceeded quota: "),
    ),
    Rule(
        Cause.SUSPENDED,
        Remedy.BY_HAND,
        "nobody resumed the Job; take `suspend` out of the CronJob's jobTemplate, or ask the queue that starts such Jobs",
        phrases=(r"\bJobSuspended \(Job suspended\)",),
    ),
)
