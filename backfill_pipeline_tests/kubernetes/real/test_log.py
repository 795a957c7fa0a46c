"""The log of a container, as a real kubelet gives it."""

import signal
import time

import pytest

from backfill_pipeline.clients.kubernetes.jobs import LAST_LINES_SECONDS, KubernetesJobs
from backfill_pipeline.clients.launcher import JobState, JobStatus
from backfill_pipeline.domain.errors import Kind
from backfill_pipeline_tests.kubernetes.cluster import Namespace, until
from backfill_pipeline_tests.kubernetes.real.image import IMAGE
from backfill_pipeline_tests.kubernetes.real.jobs import THERE, cronjob
from backfill_pipeline_tests.kubernetes.real.place import RELAY, RealNode
from backfill_pipeline_tests.kubernetes.test_launch import CRONJOB, launch, over

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


def test_the_log_of_a_container_that_never_began_is_not_waited_for_at_every_look(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    """A kubelet has none of it (400), and never will."""
    first = {"name": "first", "image": IMAGE, "command": ["false"]}
    alone.cronjob(CRONJOB, "true", pod={**THERE, "initContainers": [first]}, container={"image": IMAGE})
    jobs.ensure(launch())
    assert over(jobs, "one", 60).state is JobState.FAILED
    started = time.monotonic()
    assert list(jobs.log("one")) == []
    assert time.monotonic() - started < LAST_LINES_SECONDS / 2
    error = jobs.log_error("one")
    assert error
    assert (error.code, error.kind) == ("400", Kind.STOP)
    assert "is waiting to start: PodInitializing" in error.why


def test_a_sidecar_that_began_before_the_task_does_not_end_the_reading_of_its_log(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    """A kubelet refuses the log of a container that has not begun as it does that of one that never will."""
    early = {"name": "early", "image": IMAGE, "restartPolicy": "Always", "command": ["sleep", "300"]}
    slow = {"name": "slow", "image": IMAGE, "command": ["sleep", "3"]}
    alone.cronjob(
        CRONJOB, "sh", "-c", COUNTS, pod={**THERE, "initContainers": [early, slow]}, container={"image": IMAGE}
    )
    jobs.ensure(launch())
    until("its first lines", lambda: len(list(jobs.log("one"))) > 5)
    assert over(jobs, "one", 60).state is JobState.SUCCEEDED
    assert (list(jobs.log("one")), jobs.log_error("one")) == (ALL_LINES, None)
