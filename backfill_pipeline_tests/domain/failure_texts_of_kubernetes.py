"""What `clients/kubernetes/state.py` makes of Kubernetes' words; `failure_texts` says how they are written and compared.

What comes of whole trees is in `failure_trees`.
"""

AWAY = "a registry that is away or asks for patience, as containerd and the kubelet word it"
KUBERNETES = {
    "reasons of the condition DisruptionTarget, in k8s.io/api/core/v1 and policy/v1; messages of who sets each": """
EVICTED: Job one failed: BackoffLimitExceeded (Job has reached the specified backoff limit); pod EvictionByEvictionAPI:
    Eviction API: evicting; container Error, exit code 143; its log ends: Ended by SIGTERM: the executions logged above go
    on, the others were not started
EVICTED: Job one failed: BackoffLimitExceeded (Job has reached the specified backoff limit); pod PreemptionByScheduler:
    default-scheduler: preempting to accommodate a higher priority pod; container Error, exit code 143; its log ends: Ended
    by SIGTERM between two inserts: what was logged is written, the rest is not
EVICTED: Job one failed: BackoffLimitExceeded (Job has reached the specified backoff limit); pod DeletionByTaintManager:
    Taint manager: deleting due to NoExecute taint; container Error, exit code 137; its log ends:
EVICTED: Job one failed: BackoffLimitExceeded (Job has reached the specified backoff limit); pod DeletionByPodGC: PodGC: node
    no longer exists; its log ends:
EVICTED: Job one failed: BackoffLimitExceeded (Job has reached the specified backoff limit); pod TerminationByKubelet: Pod was
    terminated in response to imminent node shutdown.; container Error, exit code 143; its log ends:
""",
    "a pod's own deadline, of which no message tells": """
DEADLINE: Job one failed: BackoffLimitExceeded (Job has reached the specified backoff limit); pod DeadlineExceeded; container
    Error, exit code 143; its log ends: Ended by SIGTERM: the executions logged above go on, the others were not started
DEADLINE: Job one failed: BackoffLimitExceeded (Job has reached the specified backoff limit); container Error, exit code 143;
    pod DeadlineExceeded
""",
    AWAY: """
IMAGE_PULL: Job one failed: it can't start: ErrImagePull (failed to pull and unpack image "r.example/x:1": failed to resolve
    reference "r.example/x:1": failed to do request: Head "https://r.example/v2/x/manifests/1": dial tcp 10.0.0.1:443: i/o
    timeout), for 120 s; it was ended; its log ends:
IMAGE_PULL: ErrImagePull (failed to do request: Head "https://r.example/v2/x/manifests/1": dial tcp 10.0.0.1:443: connect:
    connection refused)
IMAGE_PULL: ErrImagePull (failed to do request: Head "https://r.example/v2/x/manifests/1": net/http: TLS handshake timeout)
IMAGE_PULL: ErrImagePull (unexpected status from HEAD request to https://r.example/v2/x/manifests/1: 503 Service Unavailable)
IMAGE_PULL: ErrImagePull (unexpected status from HEAD request to https://r.example/v2/x/manifests/1: 429 Too Many Requests)
IMAGE_PULL: ImagePullBackOff (Back-off pulling image "r.example/x:1": ErrImagePull: toomanyrequests: You have reached your
    unauthenticated pull rate limit.)
""",
    "a registry that answers and has no such image for us, as containerd and the kubelet word it": """
IMAGE_PULL: ErrImagePull (failed to pull and unpack image "r.example/x:9": failed to resolve reference "r.example/x:9":
    r.example/x:9: not found)
IMAGE_PULL: ErrImagePull (failed to pull and unpack image "r.example/x:1": failed to resolve reference "r.example/x:1": pull
    access denied, repository does not exist or may require authorization: server message: insufficient_scope:
    authorization failed)
IMAGE_PULL: ErrImagePull (failed to do request: Head "https://r.exampel/v2/x/manifests/1": dial tcp: lookup r.exampel on
    10.0.0.2:53: no such host)
""",
    "admission of Kubernetes: a quota that is not counted yet, a LimitRange, a refusal until the Job's deadline": """
UNSCHEDULABLE: FailedCreate (Error creating: pods "one-x" is forbidden: status unknown for quota: jobs, resources: pods)
POD_REFUSED: FailedCreate (Error creating: pods "one-x" is forbidden: maximum memory usage per Container is 1Gi, but limit is
    2Gi)
POD_REFUSED: Job one failed: DeadlineExceeded (Job was active longer than specified deadline), before that FailedCreate
    (Error creating: pods "one-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true); its log
    ends:
POD_REFUSED: Kubernetes did not create the Job [403]. Where: https://10.0.0.1, namespace jobs. Why: admission webhook
    "validation.example" denied the request: [owner] you must provide labels: {"owner"}. Next: give the account this right.
""",
}
