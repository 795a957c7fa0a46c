"""The Launcher of a cluster: a CronJob's template becomes a Job that is ours by its labels."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3 import HTTPResponse

from backfill_pipeline.clients.kubernetes.credentials import without_login
from backfill_pipeline.clients.kubernetes.errors import TRANSLATED, kubectl, translate
from backfill_pipeline.clients.kubernetes.log_stream import LogStream, Place
from backfill_pipeline.clients.kubernetes.manifest import job_of, masked
from backfill_pipeline.clients.kubernetes.readiness import wait_until_ready
from backfill_pipeline.clients.kubernetes.state import at_work, disruptions, has_ended, outlived, status_of, task_of
from backfill_pipeline.clients.launcher import JobHandle, JobState, JobStatus
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.plans import LABEL, Launch

CALL_SECONDS = (5, 30)  # to connect, and between two parts of an answer
LOG_SECONDS = (5, 300)  # a quiet Job writes nothing for a while
LAST_LINES_SECONDS = 10
POLL_SECONDS = 0.2
SIDECAR_SECONDS = 30  # that a container may outlive its pod's task: one that ends in order takes a few
MANAGED_BY = "app.kubernetes.io/managed-by"

T = TypeVar("T")
Tree = dict[str, Any]


class KubernetesJobs:
    """Jobs in one namespace of one cluster. Needs the rights of deploy/rbac.yaml and no others.

    Args:
        api: a client that is logged in.
        context, kubeconfig: for the commands that a person is told; None in a pod.
        log_in: another such client, logged in anew; None, a login that ends is not renewed.

    Raises (everywhere): PipelineError; UNREACHABLE and RETRY where the API is away or overloaded.
    """

    def __init__(
        self,
        api: client.ApiClient,
        namespace: str,
        context: str | None,
        kubeconfig: Path | None = None,
        log_in: Callable[[], client.ApiClient] | None = None,
    ) -> None:
        self._batch, self._core, self._api = client.BatchV1Api(api), client.CoreV1Api(api), api
        self._namespace, self._log_in = namespace, log_in
        self._kubectl = f"{kubectl(kubeconfig, context)} -n {namespace}"
        self._has_rights = False
        self._thrown_out: dict[str, list[str]] = {}
        self._task_ended: dict[str, float] = {}  # Jobs that go on after their task, and since when
        self._ended: dict[str, JobStatus] = {}  # those of them that were ended here
        self._streams: dict[str, LogStream] = {}
        self._unread: set[str] = set()  # Jobs that were over before the end of their log was read

    def ensure(self, launch: Launch) -> JobHandle:
        return JobHandle(launch.job_name) if self._made(launch, "create the Job") else self._adopted(launch)

    def check(self, launch: Launch) -> None:
        """With `dryRun`: the same right, admission and validation as of `ensure`, and nothing is kept.

        What follows and ends the Job is asked for too: a right that is missed only then leaves the days emptied.
        """
        self._check_rights(launch.job_name)
        if not self._made(launch, "take the Job when it was asked with dryRun (nothing was made)", dry_run="All"):
            self._adopted(launch)

    def _made(self, launch: Launch, what: str, **how: str) -> bool:
        """False: there is one of that name."""
        job = job_of(self._usable(launch.cronjob), launch)
        try:
            self._call(self._batch.create_namespaced_job, what, self._namespace, job, **how)
        except PipelineError as error:
            if error.code == "422":
                raise self._invalid(launch.cronjob, error) from None
            if error.code != "409":
                raise
            return False
        return True

    def _check_rights(self, name: str) -> None:
        """Once. The Job is not there yet, or it is this attempt's: that nothing is found is the good answer."""
        if self._has_rights:
            return
        self._job(name)
        self._pods(name)
        self._events(name)
        self._delete(name, dryRun=["All"])
        try:
            self._call(self._core.read_namespaced_pod_log, "read the log of a pod", name, self._namespace)
        except PipelineError as error:
            if error.code != "404":
                raise
        self._has_rights = True

    def manifest(self, launch: Launch) -> Tree:
        return job_of(masked(self._cronjob(launch.cronjob)), launch)

    def _cronjob(self, name: str) -> Tree:
        try:
            return self._call(self._batch.read_namespaced_cron_job, f"read the CronJob {name}", name, self._namespace)
        except PipelineError as error:
            if error.code != "404":
                raise
            next_step = (
                f"correct its name, the namespace or the context; `{self._kubectl} get cronjobs` lists what is there"
            )
            raise self._of_cronjob(name, error, next_step) from None

    def _usable(self, name: str) -> Tree:
        """The CronJob, from which a Job may be made."""
        found = self._cronjob(name)
        if found["spec"].get("suspend"):
            raise self._suspended(name, "it is suspended", '{"spec":{"suspend":false}}')
        if found["spec"]["jobTemplate"]["spec"].get("suspend"):  # a queue that wants its Jobs so suspends them itself
            why = "its Jobs begin suspended (jobTemplate.spec.suspend): they wait until somebody resumes them, on emptied days"
            raise self._suspended(name, why, '{"spec":{"jobTemplate":{"spec":{"suspend":false}}}}')
        return found

    def _invalid(self, name: str, error: PipelineError) -> PipelineError:
        """The Job is made of it, and so is what is wrong with the Job."""
        next_step = f"correct there what the message names: {self._kubectl} edit cronjob {name}; then rerun"
        return self._of_cronjob(name, error, next_step)

    def _of_cronjob(self, name: str, error: PipelineError, next_step: str) -> PipelineError:
        where = self._where(f"cronjob/{name}")
        return PipelineError(
            error.what, where=where, why=error.why, next_step=next_step, kind=error.kind, code=error.code
        )

    def _suspended(self, name: str, why: str, patch: str) -> PipelineError:
        return PipelineError(
            f"The CronJob {name} can't be used",
            where=self._where(f"cronjob/{name}"),
            why=why,
            next_step=f"ask who suspended it; {self._kubectl} patch cronjob {name} -p '{patch}'",
            kind=Kind.MISSING,
        )

    def _adopted(self, launch: Launch) -> JobHandle:
        job = self._job(launch.job_name)
        labels = (job or {}).get("metadata", {}).get("labels", {})
        if job is None or any(labels.get(name) != value for name, value in launch.labels.items()):
            raise self._not_ours(launch.job_name, "its labels are not those of this attempt")
        return JobHandle(launch.job_name, adopted=True)

    def _not_ours(self, name: str, why: str) -> Refused:
        return Refused(
            f"A Job named {name} exists and is not ours",
            where=self._where(f"job/{name}"),
            why=why,
            next_step=f"look whose it is: {self._kubectl} describe job {name}; then rerun",
        )

    def status(self, name: str) -> JobStatus:
        if name in self._ended:
            return self._ended[name]
        job, pods = self._job(name), self._pods(name)
        if words := disruptions(pods):
            self._thrown_out[name] = words
        events, unknown = self._why_no_pod(name) if job and not pods else ([], "")
        found = status_of(job, pods, events, self._thrown_out.get(name, []))
        task = outlived(job, pods) if found.state is JobState.RUNNING else None
        if task:
            return self._without_sidecars(name, found, task)
        more = unknown if found.state is JobState.PENDING else "", self._look(name, found, pods)
        return replace(found, reason="; ".join(filter(None, [found.reason, *more])))

    def _why_no_pod(self, name: str) -> tuple[list[Tree], str]:
        """The events that tell it, or why they can't be read: the Job is followed without them."""
        try:
            return self._events(name), ""
        except PipelineError as error:
            if error.code != "403":
                raise
            return [], f"why is not known: {error.why}"

    def _without_sidecars(self, name: str, found: JobStatus, task: JobStatus) -> JobStatus:
        """The status where the task has ended and a container beside it goes on, as a mesh's does that nobody tells to end.

        That task's outcome is the Job's, which would else be at work until its deadline. It is ended here: its container
        writes no row, but would keep its room on the node until then, and the deadline takes the log away as well. Not
        before its log was read, and not at once: one that ends in order leaves a Job that tells its own end. Its outcome
        is kept here; who asks from another process finds it gone, and counts.
        """
        since, log = self._task_ended.setdefault(name, time.monotonic()), self._streams.get(name)
        if time.monotonic() - since < SIDECAR_SECONDS or (log and not log.ended.is_set()):
            return found
        self._end(name)
        self._ended[name] = task
        return task

    def _look(self, name: str, found: JobStatus, pods: Sequence[Tree]) -> str:
        """The command that shows more of a Job that does not go as it should."""
        if found.state in (JobState.RUNNING, JobState.SUCCEEDED):
            return ""
        if pods:
            return f"look: {self._kubectl} describe pods -l batch.kubernetes.io/job-name={name}"
        if found.state is JobState.GONE:
            return f"look: {self._kubectl} get events --field-selector involvedObject.name={name}"
        return f"look: {self._kubectl} describe job/{name}"

    def resume(self, name: str) -> None:
        """The Job controller makes the pod, whoever made the Job."""

    def log(self, name: str) -> Iterator[str]:
        """What the Job's task has written so far; all of it once the Job is over, if its pod was seen alive."""
        stream = self._streams.get(name) or self._followed(name)
        if stream is None:
            return
        if self.status(name).state.is_over and not stream.ended.wait(LAST_LINES_SECONDS):
            self._unread.add(name)
        yield from stream.lines

    def log_error(self, name: str) -> PipelineError | None:
        stream = self._streams.get(name)
        if stream is None or stream.error:
            return stream.error if stream else None
        return self._not_read(name) if name in self._unread and not stream.ended.is_set() else None

    def _followed(self, name: str) -> LogStream | None:
        """In a pod that is past Pending every container has begun: a kubelet refuses the log of one that has not."""
        pods = [p for p in self._pods(name) if p.get("status", {}).get("phase") not in (None, "Pending")]
        if not pods:
            return None
        pod, task = pods[-1]["metadata"]["name"], task_of(pods[-1])
        stream = LogStream(lambda since: self._log_of(pod, task, since), lambda: self._place(name, pod, task))
        self._streams[name] = stream
        return stream

    def _place(self, name: str, pod: str, container: str) -> Place:
        found = [p for p in self._pods(name) if p["metadata"]["name"] == pod]
        if not found:
            return Place.GONE
        return Place.ENDED if has_ended(found[0], container) else Place.WRITES

    def _log_of(self, pod: str, container: str, since: str | None) -> Iterable[bytes]:
        asked = [("container", container), ("follow", "true"), ("timestamps", "true")]
        try:
            more = [("sinceTime", since)] if since else []
            answer = self._logged_in(lambda: self._opened_log(pod, [*asked, *more]))
        except TRANSLATED as error:
            raise translate(error, f"Kubernetes did not read the log of {pod}", self._where(f"pod/{pod}")) from None
        try:
            yield from answer.stream(amt=None, decode_content=False)
        finally:
            answer.release_conn()

    def _opened_log(self, pod: str, asked: Sequence[tuple[str, str]]) -> HTTPResponse:
        """The client's own call knows no `sinceTime`, and gives a repr of bytes where it preloads."""
        answer: HTTPResponse = self._api.call_api(
            f"/api/v1/namespaces/{self._namespace}/pods/{pod}/log",
            "GET",
            query_params=list(asked),
            header_params={"Accept": "*/*"},
            auth_settings=["BearerToken"],
            _preload_content=False,
            _return_http_data_only=True,
            _request_timeout=LOG_SECONDS,
        )
        return answer

    def cancel(self, name: str, *, deadline_seconds: float = 15) -> None:
        """A Job that is not there may have left its pod at work, which is no less of a writer."""
        self._end(name)
        end = time.monotonic() + deadline_seconds
        while (job := self._job(name)) or at_work(self._pods(name)):
            if time.monotonic() > end:
                raise self._does_not_end(name, deadline_seconds, job)
            time.sleep(POLL_SECONDS)

    def _end(self, name: str) -> None:
        """Only one of ours, and only that which was seen; whose of our attempts is told by its name, which is a digest of it."""
        job = self._job(name)
        if job is None:
            return
        if (job["metadata"].get("labels") or {}).get(MANAGED_BY) != LABEL:
            raise self._not_ours(name, f"it has no label {MANAGED_BY}: {LABEL}")
        self._delete(name, preconditions={"uid": job["metadata"]["uid"]})

    def _delete(self, name: str, **how: Any) -> None:
        # Its pod's grace is in the manifest: a Job's own is not handed on.
        options = {"propagationPolicy": "Foreground", **how}
        try:
            self._call(self._batch.delete_namespaced_job, f"delete the Job {name}", name, self._namespace, body=options)
        except PipelineError as error:
            if error.code != "404":
                raise

    def where(self, name: str) -> str:
        return f"{self._kubectl} logs job/{name}"

    def close(self) -> None:
        for stream in self._streams.values():
            stream.close()

    def _job(self, name: str) -> Tree | None:
        try:
            return self._call(self._batch.read_namespaced_job, f"read the Job {name}", name, self._namespace)
        except PipelineError as error:
            if error.code == "404":
                return None
            raise

    def _pods(self, name: str) -> list[Tree]:
        """Oldest first."""
        mine = {"label_selector": f"batch.kubernetes.io/job-name={name}"}
        found = self._call(self._core.list_namespaced_pod, f"list the pods of {name}", self._namespace, **mine)
        return sorted(found["items"], key=lambda pod: str(pod["metadata"].get("creationTimestamp")))

    def _events(self, name: str) -> list[Tree]:
        mine = {"field_selector": f"involvedObject.kind=Job,involvedObject.name={name}"}
        found = self._call(self._core.list_namespaced_event, f"list the events of {name}", self._namespace, **mine)
        return list(found["items"])

    def _call(self, call: Callable[..., Any], what: str, *args: Any, **options: Any) -> Tree:
        """The answer as the API server gave it: its own names, no classes of one client version."""
        try:
            how = {**options, "_preload_content": False, "_request_timeout": CALL_SECONDS}
            return dict(json.loads(self._permitted(lambda: call(*args, **how)).data))
        except TRANSLATED as error:
            raise translate(error, f"Kubernetes did not {what}", self._where()) from None

    def _permitted(self, call: Callable[[], T]) -> T:
        """What an API server forbids may be allowed: one that has just begun has not read the roles yet."""
        try:
            return self._logged_in(call)
        except ApiException as error:
            if error.status != 403:
                raise
        wait_until_ready(self._api)
        return self._logged_in(call)

    def _logged_in(self, call: Callable[[], T]) -> T:
        """A login is renewed where the server takes it no more: a token's file is written anew, a certificate runs out."""
        try:
            return call()
        except ApiException as error:
            if error.status != 401 or self._log_in is None:
                raise
        fresh = self._log_in()
        self._api.configuration, self._api.rest_client = fresh.configuration, fresh.rest_client
        return call()

    def _where(self, thing: str = "") -> str:
        host = without_login("".join(self._api.configuration.host.split()))  # a password may be of two words
        return f"{host}, namespace {self._namespace}" + (f", {thing}" if thing else "")

    def _not_read(self, name: str) -> PipelineError:
        return PipelineError(
            f"The log of the Job {name} was not read to its end",
            where=self._where(f"job/{name}"),
            why=f"it is over, and its last lines did not come within {LAST_LINES_SECONDS} s: the log is large or the link slow",
            next_step=f"read the rest while its pod is there: {self.where(name)}",
            kind=Kind.RETRY,
        )

    def _does_not_end(self, name: str, seconds: float, job: Tree | None) -> PipelineError:
        pods = at_work(self._pods(name))
        why = f"it or its pod is there {seconds:.0f} s after its deletion"
        next_step = f"look why: {self._kubectl} describe pods -l batch.kubernetes.io/job-name={name}; then rerun"
        if pods and not job:
            why = f"somebody deleted the Job and left its pod {', '.join(pods)}, at work for {seconds:.0f} s since"
            next_step = f"{self._kubectl} delete pod {' '.join(pods)}; then rerun"
        return PipelineError(
            f"The Job {name} does not end",
            where=self._where(f"job/{name}"),
            why=why,
            next_step=next_step,
            kind=Kind.RETRY,
        )
