"""How executions end, provoked on Temporal's dev server: each end is told by name, and worded as recorded."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from backfill_pipeline.clients.temporal import Temporal, WorkflowState, WorkflowStatus
from backfill_pipeline.config import TemporalAddress
from backfill_pipeline.domain.causes import Cause
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.domain.failures import diagnose
from backfill_pipeline_tests.clients.workflows import CLUMSY, DOOMED, QUEUE, Started, polled
from backfill_pipeline_tests.domain.failure_texts import assert_diagnosed, assert_text_diagnosed
from backfill_pipeline_tests.worker import servers


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalAddress]:
    with servers.temporal(tmp_path_factory.mktemp("temporal")) as found:
        yield found


def closed(temporal: Temporal, workflow_id: str) -> WorkflowStatus:
    return polled(lambda: temporal.status(workflow_id), lambda s: s.state is not WorkflowState.RUNNING)


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [
        ("silent", Cause.HEARTBEAT_TIMEOUT),
        ("hang", Cause.START_TO_CLOSE_TIMEOUT),
        ("drag", Cause.DEADLINE),
        ("queue", Cause.NO_WORKER),
        ("deadlock", Cause.DEADLOCK),
        ("passing", Cause.PASSING),
        ("stopped", Cause.FAILS_AGAIN),
        ("refused", Cause.REFUSED),
        ("fail", Cause.UNKNOWN),
    ],
)
def test_an_execution_that_failed_is_told_by_the_innermost_cause_and_not_as_an_activity_that_failed(
    temporal: Temporal, started: Started, behaviour: str, cause: Cause
) -> None:
    with started.worker():
        status = closed(temporal, started.start(DOOMED, behaviour, queue=QUEUE))
    assert status.state is WorkflowState.FAILED
    assert_text_diagnosed(status.problem, cause)


def test_a_try_that_failed_is_told_by_its_innermost_cause_while_the_next_one_runs(
    temporal: Temporal, started: Started
) -> None:
    with started.worker():
        running = started.start(CLUMSY, "deadlock", queue=QUEUE)
        status = polled(lambda: temporal.status(running), lambda s: bool(s.failure))
    assert status.state is WorkflowState.RUNNING
    assert "(type PipelineError)" in status.failure
    assert diagnose([status.failure]).cause is Cause.DEADLOCK


def test_d8_an_execution_that_somebody_ended_is_not_started_again_behind_their_back(
    temporal: Temporal, started: Started
) -> None:
    with started.worker():
        cancelled, terminated = (started.start(CLUMSY, "hang", queue=QUEUE) for _ in range(2))
        temporal.cancel(cancelled)
        started.terminate(terminated, reason="somebody pulled the plug")
        for ended in (cancelled, terminated):
            assert_text_diagnosed(closed(temporal, ended).problem, Cause.CANCELLED)


@pytest.mark.parametrize("how", ["cancel", "terminate"])
def test_d8_a_child_that_somebody_ended_is_not_taken_for_one_that_failed(
    temporal: Temporal, started: Started, how: str
) -> None:
    with started.worker():
        parent = started.start(DOOMED, "parent", queue=QUEUE)
        child = f"{parent}-child"
        polled(lambda: temporal.status(child), lambda s: s.progress is not None)
        temporal.cancel(child) if how == "cancel" else started.terminate(child)
        assert_text_diagnosed(closed(temporal, parent).problem, Cause.CANCELLED)


def test_an_execution_that_no_worker_took_is_told_by_its_deadline(temporal: Temporal, started: Started) -> None:
    late = started.start(CLUMSY, "hang", execution_timeout=timedelta(seconds=1))
    assert_text_diagnosed(closed(temporal, late).problem, Cause.DEADLINE)


def test_t8_an_execution_that_temporal_has_forgotten_is_neither_failed_nor_cancelled(temporal: Temporal) -> None:
    assert_text_diagnosed(temporal.status("no-such-workflow").problem, Cause.GONE)


@pytest.mark.parametrize("away", ["127.0.0.1:9", "no-such-host.invalid:7233"])
def test_a_temporal_that_is_away_is_waited_for(address: TemporalAddress, away: str) -> None:
    connected = Temporal(address.model_copy(update={"address": away}))
    with pytest.raises(PipelineError) as caught:
        connected.check()
    connected.close()
    assert_diagnosed(caught.value, Cause.UNREACHABLE)
