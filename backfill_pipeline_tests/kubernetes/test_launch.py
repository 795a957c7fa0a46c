"""The launch matrix on a real API server: what is made, adopted, refused; and how a Job's end is told."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from backfill_pipeline.clients.kubernetes.jobs import KubernetesJobs
from backfill_pipeline.clients.kubernetes.manifest import GRACE_SECONDS
from backfill_pipeline.clients.launcher import JobState, JobStatus
from backfill_pipeline.domain.causes import Cause, Remedy
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.failures import diagnose
from backfill_pipeline.domain.plans import Launch
from backfill_pipeline_tests.clients.test_kubernetes_manifest import MORE_PODS
from backfill_pipeline_tests.kubernetes.cluster import Namespace, until

CRONJOB = "task"
HELLO = ("python", "-c", "import os; print('hello', os.environ['MARK'])")


def launch(name: str = "one", *, attempt: str = "a1", deadline_seconds: float = 60) -> Launch:
    labels = {"app.kubernetes.io/managed-by": "backfill-pipeline", "backfill-pipeline/attempt": attempt}
    return Launch(name, CRONJOB, {"MARK": name}, labels, {"backfill-pipeline/window": "a day"}, deadline_seconds)


def over(jobs: KubernetesJobs, name: str, seconds: float = 30) -> JobStatus:
    return until(f"{name} is over", lambda: (s := jobs.status(name)).state.is_over and s, seconds=seconds)


def test_a_job_is_made_from_the_cronjob_and_its_log_is_read(alone: Namespace, jobs: KubernetesJobs) -> None:
    alone.cronjob(CRONJOB, *HELLO)
    handle = jobs.ensure(launch())
    assert not handle.adopted
    assert over(jobs, "one") == JobStatus(JobState.SUCCEEDED, 0, "exit code 0")
    assert list(jobs.log("one")) == ["hello one"]
    made = client.BatchV1Api(alone.api).read_namespaced_job("one", alone.name)
    assert made.metadata.labels["app.kubernetes.io/name"] == "batch-reindex-conversations"
    assert made.metadata.labels["backfill-pipeline/attempt"] == "a1"
    assert made.metadata.owner_references is None
    assert made.spec.template.spec.termination_grace_period_seconds == GRACE_SECONDS


def test_k2_twenty_threads_make_one_job(alone: Namespace, jobs: KubernetesJobs) -> None:
    alone.cronjob(CRONJOB, *HELLO)
    with ThreadPoolExecutor(20) as pool:
        handles = list(pool.map(lambda _: jobs.ensure(launch()), range(20)))
    assert sorted(h.adopted for h in handles) == [False] + [True] * 19
    assert over(jobs, "one").state is JobState.SUCCEEDED
    assert len(client.CoreV1Api(alone.api).list_namespaced_pod(alone.name).items) == 1


def test_a_foreign_job_of_the_same_name_is_refused(alone: Namespace, jobs: KubernetesJobs) -> None:
    alone.cronjob(CRONJOB, *HELLO)
    jobs.ensure(launch(attempt="other"))
    with pytest.raises(Refused, match="exists and is not ours"):
        jobs.ensure(launch())


def test_what_a_template_holds_in_plain_text_reaches_the_job_and_not_who_asks_for_its_manifest(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    secret = {"name": "DATABASE_URL", "value": "hunter2"}
    alone.cronjob(CRONJOB, "python", "-c", "import os; print(os.environ['DATABASE_URL'])", container={"env": [secret]})
    assert "hunter2" not in str(jobs.manifest(launch()))
    jobs.ensure(launch())
    over(jobs, "one")
    assert list(jobs.log("one")) == ["hunter2"]


def test_a_value_of_a_template_that_refers_to_one_of_ours_gets_it(alone: Namespace, jobs: KubernetesJobs) -> None:
    asked = [{"name": "MARK", "value": "x"}, {"name": "B", "value": "from-$(MARK)"}]
    alone.cronjob(CRONJOB, "python", "-c", "import os; print(os.environ['B'])", container={"env": asked})
    jobs.ensure(launch())
    over(jobs, "one")
    assert list(jobs.log("one")) == ["from-one"]


@pytest.mark.parametrize("ask", ["check", "ensure", "manifest"])
def test_a_missing_cronjob_is_named(alone: Namespace, jobs: KubernetesJobs, ask: str) -> None:
    with pytest.raises(PipelineError, match=r'cronjobs\.batch "task" not found') as raised:
        getattr(jobs, ask)(launch())
    assert (raised.value.kind, raised.value.code) == (Kind.MISSING, "404")
    assert raised.value.where.endswith("cronjob/task")
    assert f"`kubectl --context stack -n {alone.name} get cronjobs`" in raised.value.next_step


def test_a_cronjob_whose_jobs_the_server_does_not_take_is_not_told_for_what_is_to_be_corrected(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    alone.cronjob(CRONJOB, *HELLO)
    for ask in (jobs.check, jobs.ensure):
        with pytest.raises(PipelineError, match=r"metadata\.annotations: Too long") as raised:
            ask(replace(launch(), annotations=TOO_LONG))
        assert (raised.value.kind, raised.value.code) == (Kind.STOP, "422")
        assert raised.value.where.endswith("cronjob/task")
        assert f"kubectl --context stack -n {alone.name} edit cronjob task" in raised.value.next_step


def test_a_suspended_cronjob_is_named(alone: Namespace, jobs: KubernetesJobs) -> None:
    alone.cronjob(CRONJOB, *HELLO, suspend=True)
    with pytest.raises(PipelineError, match="it is suspended"):
        jobs.ensure(launch())


def test_a_check_makes_a_job_or_finds_a_fault_where_ensure_finds_none(alone: Namespace, jobs: KubernetesJobs) -> None:
    alone.cronjob(CRONJOB, *HELLO)
    jobs.check(launch())
    assert client.BatchV1Api(alone.api).list_namespaced_job(alone.name).items == []
    jobs.ensure(launch())
    jobs.check(launch())
    assert jobs.ensure(launch()).adopted


TOO_LONG = {"backfill-pipeline/why": "x" * 300_000}
IMPOSSIBLE: dict[str, tuple[dict[str, Any], Launch, Kind, str]] = {
    "missing": ({}, replace(launch(), cronjob="absent"), Kind.MISSING, r'cronjobs\.batch "absent" not found'),
    "suspended": ({"suspend": True}, launch(), Kind.MISSING, "it is suspended"),
    "422": ({}, replace(launch(), annotations=TOO_LONG), Kind.STOP, r"\(nothing was made\) \[422\]"),
    "foreign": ({}, launch(attempt="another"), Kind.REFUSED, "exists and is not ours"),
}


@pytest.mark.parametrize(("spec", "wanted", "kind", "why"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_job_that_could_not_be_made_is_noticed_only_when_its_rows_are_deleted(
    alone: Namespace, jobs: KubernetesJobs, spec: dict[str, Any], wanted: Launch, kind: Kind, why: str
) -> None:
    alone.cronjob(CRONJOB, *HELLO)
    jobs.ensure(launch())
    client.BatchV1Api(alone.api).patch_namespaced_cron_job(CRONJOB, alone.name, {"spec": spec})
    with pytest.raises(PipelineError, match=why) as raised:
        jobs.check(wanted)
    assert raised.value.kind is kind


def test_a_suspended_cronjob_can_still_be_shown(alone: Namespace, jobs: KubernetesJobs) -> None:
    alone.cronjob(CRONJOB, *HELLO, suspend=True)
    assert jobs.manifest(launch())["kind"] == "Job"


def test_exit_3_is_told(alone: Namespace, jobs: KubernetesJobs) -> None:
    alone.cronjob(CRONJOB, "python", "-c", "print('oops'); raise SystemExit(3)")
    jobs.ensure(launch())
    found = over(jobs, "one")
    assert (found.state, found.exit_code) == (JobState.FAILED, 3)
    assert "BackoffLimitExceeded" in found.reason
    assert list(jobs.log("one")) == ["oops"]


def test_k1_a_deadline_ends_it_and_its_last_lines_are_kept(alone: Namespace, jobs: KubernetesJobs) -> None:
    """Its pod is deleted with its log, so only who was listening has them."""
    alone.cronjob(CRONJOB, "python", "-c", "import time; print('at work', flush=True); time.sleep(300)")
    jobs.ensure(launch(deadline_seconds=3))
    until("its first line", lambda: list(jobs.log("one")) == ["at work"])
    found = over(jobs, "one")
    assert found.state is JobState.FAILED
    assert "DeadlineExceeded" in found.reason
    assert list(jobs.log("one")) == ["at work"]


def test_k1_a_job_deleted_by_hand_is_gone(alone: Namespace, jobs: KubernetesJobs) -> None:
    alone.cronjob(CRONJOB, "sleep", "300")
    jobs.ensure(launch())
    until("it runs", lambda: jobs.status("one").state is JobState.RUNNING)
    client.BatchV1Api(alone.api).delete_namespaced_job("one", alone.name, propagation_policy="Background")
    assert over(jobs, "one").state is JobState.GONE


def test_cancel_waits_until_the_process_is_gone(alone: Namespace, jobs: KubernetesJobs) -> None:
    alone.cronjob(CRONJOB, "sleep", "300")
    jobs.ensure(launch())
    until("it runs", lambda: jobs.status("one").state is JobState.RUNNING)
    jobs.cancel("one")
    assert jobs.status("one").state is JobState.GONE
    assert client.CoreV1Api(alone.api).list_namespaced_pod(alone.name).items == []
    jobs.cancel("one")


BEATS = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    open(sys.argv[1], 'w').write(str(time.time()))
    time.sleep(0.1)
"""


def beating(alone: Namespace, jobs: KubernetesJobs, file: Path) -> None:
    """A Job that writes until it is killed."""
    alone.cronjob(CRONJOB, "python", "-c", BEATS, str(file))
    jobs.ensure(launch())
    until("it writes", file.exists)


def is_written(file: Path) -> bool:
    before = file.read_text()
    time.sleep(1)
    return file.read_text() != before


def test_d16_a_pod_that_was_orphaned_writes_on_beside_its_successor(
    alone: Namespace, jobs: KubernetesJobs, tmp_path: Path
) -> None:
    batch, core = client.BatchV1Api(alone.api), client.CoreV1Api(alone.api)
    beating(alone, jobs, tmp_path / "beat")
    batch.delete_namespaced_job("one", alone.name, propagation_policy="Orphan")
    until("its end", lambda: jobs._job("one") is None)
    [pod] = [p.metadata.name for p in core.list_namespaced_pod(alone.name).items]
    assert jobs.status("one").state is JobState.RUNNING
    with pytest.raises(PipelineError, match=f"-n {alone.name} delete pod {pod}; then rerun") as raised:
        jobs.cancel("one", deadline_seconds=2)
    assert raised.value.kind is Kind.RETRY
    core.delete_namespaced_pod(pod, alone.name)
    jobs.cancel("one")
    assert not is_written(tmp_path / "beat")
    assert jobs.status("one").state is JobState.GONE


def test_d16_a_job_deleted_by_hand_is_gone_while_its_process_still_writes(
    alone: Namespace, jobs: KubernetesJobs, tmp_path: Path
) -> None:
    beating(alone, jobs, tmp_path / "beat")
    client.BatchV1Api(alone.api).delete_namespaced_job("one", alone.name, propagation_policy="Background")
    until("its end", lambda: jobs._job("one") is None)
    jobs.cancel("one")
    assert not is_written(tmp_path / "beat")


def changed(alone: Namespace, change: Callable[[client.V1JobSpec], None]) -> None:
    """The CronJob's template as somebody else left it."""
    batch = client.BatchV1Api(alone.api)
    cronjob = batch.read_namespaced_cron_job(CRONJOB, alone.name)
    change(cronjob.spec.job_template.spec)
    batch.replace_namespaced_cron_job(CRONJOB, alone.name, cronjob)


def test_a_template_whose_jobs_begin_suspended_keeps_days_empty_until_somebody_resumes_them(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    alone.cronjob(CRONJOB, *HELLO)
    changed(alone, lambda job: setattr(job, "suspend", True))
    for ask in (jobs.check, jobs.ensure):
        with pytest.raises(PipelineError, match="its Jobs begin suspended"):
            ask(launch())
    assert client.BatchV1Api(alone.api).list_namespaced_job(alone.name).items == []


def test_a_job_that_is_suspended_is_named(alone: Namespace, jobs: KubernetesJobs) -> None:
    """As a queueing controller does; nobody but it, or a person, starts such a Job."""
    alone.cronjob(CRONJOB, "sleep", "300")
    jobs.ensure(launch())
    client.BatchV1Api(alone.api).patch_namespaced_job("one", alone.name, {"spec": {"suspend": True}})
    until("its reason", lambda: "JobSuspended" in jobs.status("one").reason)
    found = jobs.status("one")
    assert found.state is JobState.PENDING
    late = diagnose([f"The window was not over at its deadline. Why: Job pending: {found.reason}"])
    assert (late.cause, late.remedy) == (Cause.SUSPENDED, Remedy.BY_HAND)


def test_an_image_that_cant_be_pulled_is_named(alone: Namespace, jobs: KubernetesJobs) -> None:
    alone.cronjob(CRONJOB, *HELLO)
    changed(alone, lambda job: setattr(job.template.spec.containers[0], "image", "absent:1"))
    jobs.ensure(launch())
    until("its reason", lambda: "ImagePullBackOff" in jobs.status("one").reason)
    found = jobs.status("one")
    assert (found.state, found.is_stuck) == (JobState.PENDING, True)


def test_a_quota_that_is_used_up_is_named(alone: Namespace, jobs: KubernetesJobs) -> None:
    alone.cronjob(CRONJOB, *HELLO)
    alone.apply({"kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}})
    jobs.ensure(launch())
    until("its reason", lambda: "exceeded quota" in jobs.status("one").reason)
    assert not jobs.status("one").is_stuck


def test_an_account_that_is_not_there_is_waited_for_until_the_deadline(alone: Namespace, jobs: KubernetesJobs) -> None:
    """No pod is made, so no container says why; only the Job's events do."""
    alone.cronjob(CRONJOB, *HELLO, pod={"serviceAccountName": "absent"})
    jobs.ensure(launch())
    until("its reason", lambda: 'serviceaccount "absent" not found' in jobs.status("one").reason)
    found = jobs.status("one")
    assert (found.state, found.is_stuck) == (JobState.PENDING, True)
    assert found.reason.startswith("FailedCreate (Error creating: pods ")
    assert found.reason.endswith(f"; look: kubectl --context stack -n {alone.name} describe job/one")


def test_a_command_that_is_told_leads_to_another_cluster(alone: Namespace) -> None:
    """Without the file, kubectl looks for the context in whichever it finds."""
    jobs = KubernetesJobs(alone.api, alone.name, "stack", Path("/etc/a file"))
    kubectl = f"kubectl --kubeconfig '/etc/a file' --context stack -n {alone.name}"
    assert jobs.where("one") == f"{kubectl} logs job/one"
    assert jobs.status("one").reason.endswith(f"; look: {kubectl} get events --field-selector involvedObject.name=one")


def test_a_failed_job_says_how_to_look_at_its_pod(alone: Namespace, jobs: KubernetesJobs) -> None:
    alone.cronjob(CRONJOB, "python", "-c", "raise SystemExit(3)")
    jobs.ensure(launch())
    found = over(jobs, "one")
    assert found.reason.count("look: ") == 1
    assert found.reason.endswith("describe pods -l batch.kubernetes.io/job-name=one")


def test_a_foreign_job_is_ended_by_its_name(alone: Namespace, jobs: KubernetesJobs) -> None:
    batch = client.BatchV1Api(alone.api)
    alone.cronjob(CRONJOB, "sleep", "300")
    theirs = jobs.manifest(launch())
    del theirs["metadata"]["labels"]["app.kubernetes.io/managed-by"]
    batch.create_namespaced_job(alone.name, theirs)
    with pytest.raises(Refused, match="describe job one"):
        jobs.cancel("one")
    assert batch.read_namespaced_job("one", alone.name).metadata.deletion_timestamp is None


def test_a_job_that_took_the_place_of_the_one_that_was_seen_is_ended_for_it(
    alone: Namespace, jobs: KubernetesJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone.cronjob(CRONJOB, "sleep", "300")
    jobs.ensure(launch())
    seen = jobs._job("one")
    assert seen
    seen["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "_job", lambda _: seen)
        with pytest.raises(PipelineError, match="does not match the UID in record"):
            jobs.cancel("one")
    assert jobs.status("one").state in (JobState.PENDING, JobState.RUNNING)


@pytest.mark.parametrize("more", MORE_PODS.values(), ids=MORE_PODS)
def test_k2_no_word_of_a_template_makes_a_second_pod(
    alone: Namespace, jobs: KubernetesJobs, more: dict[str, Any]
) -> None:
    """The API server takes the template; what is made of it is one pod that fails the Job."""
    alone.cronjob(CRONJOB, "python", "-c", "raise SystemExit(3)")
    client.BatchV1Api(alone.api).patch_namespaced_cron_job(
        CRONJOB, alone.name, {"spec": {"jobTemplate": {"spec": more}}}
    )
    jobs.ensure(launch())
    assert (over(jobs, "one").state, over(jobs, "one").exit_code) == (JobState.FAILED, 3)
    assert len(client.CoreV1Api(alone.api).list_namespaced_pod(alone.name).items) == 1


def test_an_attempts_own_job_is_adopted_by_another_launcher(alone: Namespace, jobs: KubernetesJobs) -> None:
    alone.cronjob(CRONJOB, "sleep", "300")
    jobs.ensure(launch())
    other = KubernetesJobs(alone.api, alone.name, None)
    assert other.ensure(replace(launch(), annotations={})).adopted
