"""What breaks while a Job is followed: the API, the log's connection, the pod, the Job, its log."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from kubernetes import client

from backfill_pipeline.clients.kubernetes.jobs import KubernetesJobs
from backfill_pipeline.clients.kubernetes.log_stream import LogStream, Place
from backfill_pipeline.clients.launcher import JobState
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline_tests.kubernetes.cluster import Namespace, TestCluster, until
from backfill_pipeline_tests.kubernetes.test_launch import CRONJOB, HELLO, launch, over
from backfill_pipeline_tests.standstill import standing_still

COUNTS = ("python", "-uc", "import time\nfor i in range(60): print('line', i); time.sleep(0.2)")
BEGINNINGS = 5  # about each third one is seen before the roles are read
ALL_LINES = [f"line {i}" for i in range(60)]


def api_server(of: TestCluster) -> int:
    child = of.watch._slots["kube-apiserver"].child
    assert child
    return child.id.pid


@contextmanager
def away(of: TestCluster) -> Iterator[None]:
    """The API server answers nobody, as when the network is gone."""
    with standing_still(api_server(of)):
        yield


def test_the_log_goes_on_where_its_connection_broke_nothing_lost_or_twice(
    alone: Namespace, jobs: KubernetesJobs, control_plane: TestCluster
) -> None:
    """The API server is killed, and with it every connection; its supervisor starts it again."""
    alone.cronjob(CRONJOB, *COUNTS)
    jobs.ensure(launch())
    until("its first lines", lambda: len(list(jobs.log("one"))) > 5)
    os.kill(api_server(control_plane), signal.SIGKILL)
    assert until("it is over", lambda: _asked(jobs).is_over, seconds=60)
    assert list(jobs.log("one")) == ALL_LINES


def _asked(jobs: KubernetesJobs) -> JobState:
    try:
        return jobs.status("one").state
    except PipelineError as error:
        if error.kind not in (Kind.UNREACHABLE, Kind.RETRY):
            raise
        return JobState.PENDING


def test_an_api_that_is_away_is_named_within_its_deadline_and_nothing_is_lost(
    alone: Namespace, jobs: KubernetesJobs, control_plane: TestCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill_pipeline.clients.kubernetes.jobs.CALL_SECONDS", (1, 2))
    alone.cronjob(CRONJOB, *COUNTS)
    jobs.ensure(launch())
    until("its first lines", lambda: len(list(jobs.log("one"))) > 5)
    with away(control_plane):
        started = time.monotonic()
        with pytest.raises(PipelineError, match=control_plane.plane.server) as raised:
            jobs.status("one")
        with pytest.raises(PipelineError) as unchecked:
            jobs.check(launch())
        assert unchecked.value.may_pass
        assert time.monotonic() - started < 15
    assert raised.value.kind is Kind.UNREACHABLE
    assert over(jobs, "one", 60).state is JobState.SUCCEEDED
    assert list(jobs.log("one")) == ALL_LINES


def test_a_log_that_was_not_read_to_its_end_passes_for_a_whole_one(
    alone: Namespace, jobs: KubernetesJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill_pipeline.clients.kubernetes.jobs.LAST_LINES_SECONDS", 0.1)
    alone.cronjob(CRONJOB, *HELLO)
    jobs.ensure(launch())
    over(jobs, "one")
    let_go = threading.Event()

    def slow(_: str | None) -> Iterator[bytes]:
        let_go.wait(30)
        yield b"2026-01-01T00:00:00.000000Z late\n"

    jobs._streams["one"] = LogStream(slow, lambda: Place.ENDED)
    assert list(jobs.log("one")) == []
    error = jobs.log_error("one")
    assert error
    assert error.what == "The log of the Job one was not read to its end"
    let_go.set()
    until("its line", lambda: list(jobs.log("one")) == ["late"])
    assert until("its end", lambda: jobs.log_error("one") is None)


def test_k1_a_pod_that_is_deleted_fails_its_job_and_what_it_said_is_kept(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    alone.cronjob(CRONJOB, *COUNTS)
    jobs.ensure(launch())
    until("its first lines", lambda: len(list(jobs.log("one"))) > 5)
    core = client.CoreV1Api(alone.api)
    core.delete_namespaced_pod(core.list_namespaced_pod(alone.name).items[0].metadata.name, alone.name)
    assert over(jobs, "one", 60).state is JobState.FAILED
    assert list(jobs.log("one"))[:5] == ALL_LINES[:5]


def test_k1_a_pod_that_was_thrown_out_passes_for_a_task_that_failed(alone: Namespace, jobs: KubernetesJobs) -> None:
    """As `kubectl drain` does it. It is gone with its words when its Job says that it failed."""
    alone.cronjob(CRONJOB, "sh", "-c", "trap 'sleep 2; exit 1' TERM; echo at work; while :; do sleep 0.1; done")
    jobs.ensure(launch())
    until("its first line", lambda: list(jobs.log("one")) == ["at work"])
    core = client.CoreV1Api(alone.api)
    name = core.list_namespaced_pod(alone.name).items[0].metadata.name
    core.create_namespaced_pod_eviction(name, alone.name, {"metadata": {"name": name}})
    words = "pod EvictionByEvictionAPI: Eviction API: evicting"
    assert until("its reason", lambda: jobs.status("one").reason).startswith(words)
    found = over(jobs, "one", 60)
    assert found.state is JobState.FAILED
    assert found.reason.startswith(f"{words}; BackoffLimitExceeded")


def test_k4_a_log_that_is_gone_with_its_job_is_empty_and_no_error(alone: Namespace, jobs: KubernetesJobs) -> None:
    """Its TTL was over before anybody looked: Temporal is then asked what it started."""
    alone.cronjob(CRONJOB, "python", "-c", "print('nobody reads it')")
    jobs.ensure(launch())
    over(jobs, "one")
    client.BatchV1Api(alone.api).patch_namespaced_job("one", alone.name, {"spec": {"ttlSecondsAfterFinished": 0}})
    until("it is gone", lambda: jobs.status("one").state is JobState.GONE)
    fresh = KubernetesJobs(alone.api, alone.name, None)
    assert list(fresh.log("one")) == []


def test_k2_a_job_whose_launcher_was_killed_between_create_and_answer_is_adopted(
    alone: Namespace, jobs: KubernetesJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer never comes; the Job is there."""
    alone.cronjob(CRONJOB, *COUNTS)
    create = jobs._batch.create_namespaced_job

    def lost(*args: object, **options: object) -> None:
        create(*args, **options)
        raise ConnectionResetError("the launcher was killed here")

    monkeypatch.setattr(jobs._batch, "create_namespaced_job", lost)
    with pytest.raises(ConnectionResetError):
        jobs.ensure(launch())
    assert KubernetesJobs(alone.api, alone.name, None).ensure(launch()).adopted
    assert threading.active_count() < 50


def test_an_api_server_that_has_just_begun_and_forbids_everything_is_taken_for_a_missing_right(
    alone: Namespace, account: client.ApiClient, control_plane: TestCluster
) -> None:
    """Until it has read the roles it answers 403 to whoever is allowed: the days were emptied, and left to a person."""
    jobs, errors = KubernetesJobs(account, alone.name, None), list[PipelineError]()

    def answered(before: int) -> bool:
        try:
            jobs.status("none")
        except PipelineError as error:
            errors.append(error)
            return False
        return len(errors) > before

    for _ in range(BEGINNINGS):
        os.kill(api_server(control_plane), signal.SIGKILL)
        until("it answers again", partial(answered, len(errors)), seconds=60)
    assert [str(e) for e in errors if not e.may_pass] == []
