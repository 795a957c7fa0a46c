"""The step `follow` on a real API server that goes away in the middle."""

import threading
import time
from dataclasses import replace

import pytest
from kubernetes import client

from backfill_pipeline.clients.kubernetes.jobs import KubernetesJobs
from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stack.demo_data import FIRST_DAY
from backfill_pipeline.steps import follow, inspect, launch
from backfill_pipeline_tests.kubernetes.account import without
from backfill_pipeline_tests.kubernetes.cluster import Namespace, TestCluster
from backfill_pipeline_tests.kubernetes.test_away import away
from backfill_pipeline_tests.live import WHOLE, Live

AWAY_SECONDS = 30
SLEEPS = "import time\nfor n in range(40): print('at work', n, flush=True); time.sleep(1)"


def test_an_api_that_is_away_for_half_a_minute_is_no_failure_of_a_window(
    engines: Live,
    alone: Namespace,
    jobs: KubernetesJobs,
    control_plane: TestCluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Job that does the work itself: nothing but Kubernetes is asked how it goes."""
    monkeypatch.setattr("backfill_pipeline.clients.kubernetes.jobs.CALL_SECONDS", (1, 5))
    engines.make_data(days=1)
    alone.cronjob(DATASETS["labels"].cronjob, "python", "-c", SLEEPS)
    claim = engines.claim("north", "acme", Window(FIRST_DAY, WHOLE.days[1]), dataset="labels")
    with engines.systems("north") as opened:
        systems = replace(opened, launcher=jobs)
        seen = inspect.inspect(systems, claim, launched_by="test")
        launched = launch.launch(systems, seen)
        gone = threading.Thread(target=_away, args=(control_plane,))
        gone.start()
        followed = follow.follow(systems, seen, launched)
        gone.join()
        systems.ledger.release(claim.attempt_id, seen.attempt.fence)
    assert followed.problems == ()
    assert any("asking again" in line for line in engines.lines)
    assert list(jobs.log(launched.job_name)) == [f"at work {n}" for n in range(40)]


def test_a_log_that_may_not_be_read_is_named_and_no_end_of_the_window(
    engines: Live, alone: Namespace, account: client.ApiClient
) -> None:
    engines.make_data(days=1)
    alone.cronjob(DATASETS["labels"].cronjob, "python", "-c", "print('at work')")
    claim = engines.claim("north", "acme", Window(FIRST_DAY, WHOLE.days[1]), dataset="labels")
    with engines.systems("north") as opened:
        systems = replace(opened, launcher=KubernetesJobs(account, alone.name, None))
        seen = inspect.inspect(systems, claim, launched_by="test")
        without(alone, "get", "pods/log")  # after the check, which would have refused
        followed = follow.follow(systems, seen, launch.launch(systems, seen))
        systems.ledger.release(claim.attempt_id, seen.attempt.fence)
    assert followed.problems == ()
    (told,) = [line for line in engines.lines if line.startswith("going on without the log of Job")]
    assert "resources: [pods/log], verbs: [get]" in told


def _away(of: TestCluster) -> None:
    time.sleep(3)
    with away(of):
        time.sleep(AWAY_SECONDS)
