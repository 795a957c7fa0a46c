"""The log of a container, as a real kubelet gives it."""

import signal

import pytest

from backfill_pipeline.clients.kubernetes.jobs import KubernetesJobs
from backfill_pipeline.clients.launcher import JobState, JobStatus
from backfill_pipeline_tests.kubernetes.cluster import Namespace, until
from backfill_pipeline_tests.kubernetes.real.jobs import cronjob
from backfill_pipeline_tests.kubernetes.real.place import RELAY, RealNode
from backfill_pipeline_tests.kubernetes.test_launch import launch, over

pytestmark = [pytest.mark.real_node, pytest.mark.usefixtures("node")]
COUNTS = "i=0; while [ $i -lt 60 ]; do echo line $i; sleep 0.1; i=$((i+1)); done"
ALL_LINES = [f"line {i}" for i in range(60)]


def test_a_log_that_is_followed_shows_each_line_once_while_it_is_written(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    cronjob(alone, COUNTS)
    jobs.ensure(launch())
    until("its first lines", lambda: len(list(jobs.log("one"))) > 5)
    seen = list(jobs.log("one"))
    assert jobs.status("one").state is JobState.RUNNING
    assert seen == ALL_LINES[: len(seen)]
    assert over(jobs, "one") == JobStatus(JobState.SUCCEEDED, 0, "exit code 0")
    assert list(jobs.log("one")) == ALL_LINES


def test_the_log_goes_on_where_the_way_to_the_kubelet_broke_nothing_lost_or_twice(
    alone: Namespace, jobs: KubernetesJobs, node: RealNode
) -> None:
    """The relay between both networks is killed, and with it every connection; its supervisor starts it again."""
    cronjob(alone, COUNTS)
    jobs.ensure(launch())
    until("its first lines", lambda: len(list(jobs.log("one"))) > 5)
    node.child(RELAY).send_signal(signal.SIGKILL)
    assert over(jobs, "one", 60).state is JobState.SUCCEEDED
    assert list(jobs.log("one")) == ALL_LINES
