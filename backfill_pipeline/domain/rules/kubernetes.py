"""Kubernetes: reasons and messages of Jobs, pods and events, as `clients/kubernetes/state.py` puts them together."""

from backfill_pipeline.domain.causes import Cause, Remedy, Rule

# A registry that is away, or asks for patience; the names and rights that it refuses stay for a person.
_REGISTRY_AWAY = (
    r"i/o timeout|TLS handshake timeout|connection (?:refused|reset by peer)|429 Too Many Requests|toomanyrequests: "
    r"|50[0234] (?:Internal Server Error|Bad Gateway|Service Unavailable|Gateway Time-?out)"
)
# Of a pod's condition DisruptionTarget, then of a pod that its node threw out or did not take.
_DISRUPTED = (
    *("EvictionByEvictionAPI", "PreemptionByScheduler", "DeletionByTaintManager", "DeletionByPodGC"),
    *("TerminationByKubelet", "Evicted", "Preempting", "NodeLost", "Shutdown", "NodeShutdown", "Terminated"),
    *("NodeAffinity", "OutOfcpu", "OutOfmemory", "OutOfpods", "OutOfephemeral-storage"),
)
KUBERNETES: tuple[Rule, ...] = (
    Rule(
        Cause.IMAGE_PULL,
        Remedy.WAIT,
        "the registry is away or asks for patience; look at it, and at the way to it from the nodes",
        phrases=(rf"\b(?:ErrImagePull|ImagePullBackOff) \([^;]{{0,1000}}?(?:{_REGISTRY_AWAY})",),
    ),
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
        "the pod made room for another one, or its node was short of something or taken down",
        phrases=(
            rf"\bpod (?:{'|'.join(_DISRUPTED)})(?:: |$|;)",
            r"\bPod was terminated in response to imminent node shutdown",
            r"\bcontainer ContainerStatusUnknown, exit code ",
        ),
    ),
    Rule(
        Cause.UNSCHEDULABLE,
        Remedy.WAIT,
        "no node has room for the pod, or a quota is used up",
        phrases=(r"\bUnschedulable \(", r" is forbidden: (?:exceeded quota: |status unknown for quota: )"),
    ),
    Rule(
        Cause.POD_REFUSED,
        Remedy.BY_HAND,
        "a policy of the cluster, or an account that is not there, keeps the pod out; mend the CronJob or the policy",
        phrases=(
            r'\bError creating: pods "[^"]*" is forbidden: ',
            r'\badmission webhook "[^"]+" denied the request\b',
        ),
    ),
    Rule(
        Cause.SUSPENDED,
        Remedy.BY_HAND,
        "nobody resumed the Job; take `suspend` out of the CronJob's jobTemplate, or ask the queue that starts such Jobs",
        phrases=(r"\bJobSuspended \(Job suspended\)",),
    ),
)
