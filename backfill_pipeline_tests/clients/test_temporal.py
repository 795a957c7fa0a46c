"""The Temporal client on the real dev server."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from temporalio import client
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.service import RPCError, RPCStatusCode

from backfill_pipeline import clients
from backfill_pipeline.clients.temporal import Found, Temporal, WorkflowState, WorkflowStatus, _with_input, few_at_once
from backfill_pipeline.clients.temporal_history import TIMED_OUT
from backfill_pipeline.config import TemporalAddress
from backfill_pipeline.domain.contracts import HEARTBEAT_TIMEOUT_SECONDS, Progress
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.windows import Window
from backfill_pipeline_tests.clients.workflows import CLUMSY, DOOMED, QUEUE, SHED, Forward, Started, an_input, polled
from backfill_pipeline_tests.live import Live

WINDOW = Window(date(2026, 1, 10), date(2026, 1, 13))
OPEN = "MadeUpOpen"  # no worker knows this type: what is started stays open, and no other test's run finds it


@pytest.fixture(scope="module")
def address(engines: Live) -> TemporalAddress:
    found = engines.config.cluster("north").temporal
    assert found is not None
    return found


@pytest.fixture
def attempt() -> str:
    return str(uuid4())


def ids(found: tuple[object, ...]) -> set[str]:
    return {str(getattr(f, "workflow_id")) for f in found}  # noqa: B009


def test_k4_another_customers_workflow_is_never_taken_for_ours_by_a_prefix(
    temporal: Temporal, started: Started, attempt: str
) -> None:
    prefix = f"made-up-{uuid4()}-acme"
    ours = started.start(OPEN, an_input("acme", "default", WINDOW, attempt), id=f"{prefix}-default-1")
    east = started.start(OPEN, an_input("acme-east", "default", WINDOW, attempt), id=f"{prefix}-east-default-1")
    polled(lambda: temporal.open_on(OPEN, "acme-east", WINDOW), lambda found: east in ids(found))
    assert ids(polled(lambda: temporal.of_attempt(OPEN, "acme", WINDOW, attempt), bool)) == {ours}
    assert ids(temporal.of_attempt(OPEN, "acme-east", WINDOW, attempt)) == {east}
    assert ours in ids(temporal.open_on(OPEN, "acme", WINDOW))
    assert east not in ids(temporal.open_on(OPEN, "acme", WINDOW))


def test_k4_executions_are_found_by_input_where_the_log_is_gone(
    temporal: Temporal, started: Started, attempt: str
) -> None:
    one = started.start(OPEN, an_input("acme", "retail", WINDOW, attempt))
    two = started.start(OPEN, an_input("acme", "support", WINDOW, attempt))
    found = polled(lambda: temporal.of_attempt(OPEN, "acme", WINDOW, attempt), lambda f: len(f) == 2)
    assert {f.workflow_id: f.input.profile_id for f in found} == {one: "retail", two: "support"}
    assert {f.input for f in found} == {an_input("acme", p, WINDOW, attempt) for p in ("retail", "support")}
    assert {f.state for f in found} == {WorkflowState.RUNNING}


def test_k4_an_execution_of_an_earlier_attempt_is_not_ours(temporal: Temporal, started: Started, attempt: str) -> None:
    before = started.start(OPEN, an_input("acme", "default", WINDOW, str(uuid4())))
    none = started.start(OPEN, an_input("acme", "default", WINDOW, None))
    ours = started.start(OPEN, an_input("acme", "default", WINDOW, attempt))
    polled(lambda: temporal.open_on(OPEN, "acme", WINDOW), lambda f: {before, none, ours} <= ids(f))
    assert ids(temporal.of_attempt(OPEN, "acme", WINDOW, attempt)) == {ours}


def test_k4_a_closed_execution_is_still_found(temporal: Temporal, started: Started, attempt: str) -> None:
    ours = started.start(OPEN, an_input("acme", "default", WINDOW, attempt))
    started.terminate(ours)
    found = polled(
        lambda: temporal.of_attempt(OPEN, "acme", WINDOW, attempt), lambda f: bool(f) and f[0].closed_at is not None
    )
    assert [(f.workflow_id, f.state) for f in found] == [(ours, WorkflowState.TERMINATED)]


def test_k4_two_candidates_for_one_profile_are_an_error_that_names_both(
    temporal: Temporal, started: Started, attempt: str
) -> None:
    both = [started.start(OPEN, an_input("acme", "default", WINDOW, attempt)) for _ in range(2)]
    polled(lambda: temporal.open_on(OPEN, "acme", WINDOW), lambda f: set(both) <= ids(f))
    with pytest.raises(PipelineError, match="Two workflows claim to be the same execution") as raised:
        temporal.of_attempt(OPEN, "acme", WINDOW, attempt)
    assert all(one in raised.value.why for one in both)
    assert attempt in raised.value.where


def test_k4_the_parts_of_an_attempt_are_not_taken_for_two_candidates(
    temporal: Temporal, started: Started, attempt: str
) -> None:
    both = {started.start(OPEN, an_input("acme", "default", part, attempt)) for part in WINDOW.split(2)}
    found = polled(lambda: temporal.of_attempt(OPEN, "acme", WINDOW, attempt), lambda f: len(f) == 2)
    assert ids(found) == both


def test_t6_an_execution_that_continued_as_new_is_one_candidate_and_not_two(
    temporal: Temporal, started: Started, attempt: str
) -> None:
    with started.worker():
        shed = started.start(SHED, an_input("acme", "default", WINDOW, attempt), queue=QUEUE)
        query = f"WorkflowId = '{shed}'"
        runs = polled(lambda: started.wait(started.client.count_workflows(query)).count, lambda n: n == 2)
        assert runs == 2
        found = temporal.of_attempt(SHED, "acme", WINDOW, attempt)
        assert [(f.workflow_id, f.state) for f in found] == [(shed, WorkflowState.RUNNING)]
        assert ids(temporal.open_on(SHED, "acme", WINDOW)) == {shed}


@pytest.fixture
def slow(address: TemporalAddress) -> Iterator[Temporal]:
    """The same Temporal at the other end of a link on which each call takes half a second."""
    forward = Forward(address.address, delay=0.25)
    forward.open()
    connected = Temporal(address.model_copy(update={"address": f"127.0.0.1:{forward.port}"}))
    yield connected
    connected.close()
    forward.close()


def test_a_namespace_with_many_executions_at_the_end_of_a_slow_link_is_not_taken_for_away(
    temporal: Temporal, slow: Temporal, started: Started, attempt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other they would take more than half a minute."""
    monkeypatch.setattr(clients.temporal, "ANSWER_SECONDS", 1)
    many = {started.start(OPEN, an_input("acme", f"p{n}", WINDOW, attempt)) for n in range(64)}
    polled(lambda: temporal.of_attempt(OPEN, "acme", WINDOW, attempt), lambda f: ids(f) == many)
    begun = time.monotonic()
    assert ids(slow.of_attempt(OPEN, "acme", WINDOW, attempt, since=datetime.now(UTC) - timedelta(minutes=1))) == many
    assert 1 < time.monotonic() - begun < 15


def test_a_search_that_takes_too_long_says_so_and_not_that_temporal_is_away(
    slow: Temporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients.temporal, "SEARCH_SECONDS", 0.1)
    with pytest.raises(
        PipelineError, match=r"Not all of Temporal's executions were read in time.*0 s were not"
    ) as late:
        slow.open_on(OPEN, "acme", WINDOW)
    assert late.value.kind is Kind.RETRY
    slow.check()


def test_a_search_that_failed_leaves_no_call_behind_to_go_on_beside_the_next_one() -> None:
    begun, over = list[int](), list[int]()

    async def ask(number: int) -> None:
        begun.append(number)
        try:
            await asyncio.sleep(0 if number == 3 else 10)
        finally:
            over.append(number)
        raise RPCError("it failed", RPCStatusCode.UNAVAILABLE, b"")

    async def asked() -> bool:
        with pytest.raises(RPCError):
            await few_at_once(ask, range(100))
        return clients.temporal.AT_ONCE <= len(begun) < 20 and sorted(over) == begun

    assert asyncio.run(asked())


@pytest.mark.parametrize(
    ("first", "last", "blocks"),
    [(8, 9, False), (8, 10, True), (11, 11, True), (1, 30, True), (12, 20, True), (13, 14, False)],
)
def test_d16_an_open_workflow_blocks_a_delete_exactly_where_their_days_overlap(
    temporal: Temporal, started: Started, attempt: str, first: int, last: int, blocks: bool
) -> None:
    theirs = Window(date(2026, 1, first), date(2026, 1, last) + timedelta(days=1))
    customer = f"acme-{attempt[:8]}"
    workflow_id = started.start(OPEN, an_input(customer, "default", theirs, attempt))
    polled(lambda: temporal.open_on(OPEN, customer, theirs), bool)
    assert ids(temporal.open_on(OPEN, customer, WINDOW)) == ({workflow_id} if blocks else set())


def test_d16_a_workflow_whose_range_can_not_be_read_blocks_rather_than_not(
    temporal: Temporal, started: Started, attempt: str
) -> None:
    odd = started.start(OPEN, an_input("hooli", "default", WINDOW, attempt, start_time="last week"))
    assert odd in ids(polled(lambda: temporal.open_on(OPEN, "hooli", WINDOW), lambda f: odd in ids(f)))


def test_a_closed_workflow_does_not_block(temporal: Temporal, started: Started, attempt: str) -> None:
    over = started.start(OPEN, an_input("hooli", "default", WINDOW, attempt))
    assert over in ids(polled(lambda: temporal.open_on(OPEN, "hooli", WINDOW), lambda f: over in ids(f)))
    started.terminate(over)
    assert over not in ids(polled(lambda: temporal.open_on(OPEN, "hooli", WINDOW), lambda f: over not in ids(f)))


@pytest.mark.parametrize("odd", ["text", 7, None, {"customer": "acme"}, ["acme"]])
def test_a_workflow_with_an_input_of_another_form_does_not_break_the_search(
    temporal: Temporal, started: Started, attempt: str, odd: object
) -> None:
    foreign = started.start(OPEN, odd)
    newer = an_input("umbrella", "default", WINDOW, attempt)
    ours = started.start(OPEN, {**vars(newer), "added_later": True})
    polled(lambda: started.wait(_count(started, foreign)), lambda n: n == 1)
    found = polled(lambda: temporal.open_on(OPEN, "umbrella", WINDOW), lambda f: ours in ids(f))
    assert {f.input for f in found if f.workflow_id == ours} == {newer}
    assert foreign not in ids(found)


async def _count(started: Started, workflow_id: str) -> int:
    return (await started.client.count_workflows(f"WorkflowId = '{workflow_id}'")).count


def seen(temporal: Temporal, workflow_id: str, state: WorkflowState) -> WorkflowStatus:
    return polled(lambda: temporal.status(workflow_id), lambda s: s.state is state)


def test_progress_of_a_running_workflow_is_read_from_its_heartbeat(temporal: Temporal, started: Started) -> None:
    with started.worker():
        before = datetime.now(UTC)
        running = started.start(CLUMSY, "hang", queue=QUEUE)
        status = polled(lambda: temporal.status(running), lambda s: s.progress is not None)
        assert (status.workflow_id, status.state) == (running, WorkflowState.RUNNING)
        assert status.progress == Progress(40, 2, 100)
        assert status.attempt == 1
        assert status.closed_at is None
        assert status.started_at is not None
        assert status.last_heartbeat is not None
        assert abs(status.started_at - before) < timedelta(seconds=20)
        assert status.last_heartbeat >= status.started_at


def test_a_retry_under_way_tells_which_and_why(temporal: Temporal, started: Started) -> None:
    with started.worker():
        stumbled = started.start(CLUMSY, "stumble", queue=QUEUE)
        status = polled(lambda: temporal.status(stumbled), lambda s: s.attempt == 2)
        assert (status.state, status.attempt) == (WorkflowState.RUNNING, 2)
        assert "deadlock detected" in status.failure


def test_a_workflow_that_has_not_begun_has_no_progress_and_that_is_not_zero(
    temporal: Temporal, started: Started
) -> None:
    status = temporal.status(started.start(OPEN, "waiting"))
    assert (status.state, status.progress, status.last_heartbeat) == (WorkflowState.RUNNING, None, None)


def test_a_failed_workflow_says_why_down_to_the_cause(temporal: Temporal, started: Started) -> None:
    with started.worker():
        failed = started.start(CLUMSY, "fail", queue=QUEUE)
        status = seen(temporal, failed, WorkflowState.FAILED)
    assert status.state is WorkflowState.FAILED
    assert status.failure.endswith(": the source is away")
    assert status.closed_at is not None
    assert status.state.may_leave_an_activity
    assert status.may_write_until is None, "its one try told the failure itself"


def test_t3_a_try_that_was_thought_dead_may_write_for_as_long_as_it_may_be_silent(
    temporal: Temporal, started: Started
) -> None:
    with started.worker():
        status = seen(temporal, started.start(DOOMED, "silent", queue=QUEUE), WorkflowState.FAILED)
    assert status.closed_at
    assert status.may_write_until == status.closed_at + timedelta(seconds=HEARTBEAT_TIMEOUT_SECONDS)


def test_a_terminated_and_a_timed_out_workflow_are_told_apart(temporal: Temporal, started: Started) -> None:
    ended = started.start(OPEN, "x")
    started.terminate(ended, reason="somebody pulled the plug")
    late = started.start(OPEN, "x", execution_timeout=timedelta(seconds=1))
    status = seen(temporal, ended, WorkflowState.TERMINATED)
    assert (status.state, status.failure) == (WorkflowState.TERMINATED, "somebody pulled the plug")
    assert status.may_write_until, "its worker did not hear of it"
    status = seen(temporal, late, WorkflowState.TIMED_OUT)
    assert (status.state, status.failure) == (WorkflowState.TIMED_OUT, TIMED_OUT)


def test_a_completed_workflow_is_over_and_has_no_failure(temporal: Temporal, started: Started) -> None:
    with started.worker():
        done = seen(temporal, started.start(CLUMSY, "end", queue=QUEUE), WorkflowState.COMPLETED)
    assert (done.state, done.failure, done.may_write_until) == (WorkflowState.COMPLETED, "", None)
    assert not done.state.may_leave_an_activity


def test_t8_a_workflow_that_temporal_never_had_is_unknown_and_not_failed(temporal: Temporal) -> None:
    status = temporal.status("no-such-workflow")
    assert (status.state, status.progress) == (WorkflowState.UNKNOWN, None)
    assert not status.state.may_leave_an_activity


def forget(started: Started, workflow_id: str) -> None:
    """What retention does in its own time."""
    named = WorkflowExecution(workflow_id=workflow_id)
    request = DeleteWorkflowExecutionRequest(namespace=started.client.namespace, workflow_execution=named)
    started.wait(started.client.workflow_service.delete_workflow_execution(request))


def test_t8_a_workflow_forgotten_between_its_listing_and_the_look_at_its_input_does_not_break_the_search(
    started: Started, attempt: str
) -> None:
    gone = started.start(OPEN, an_input("acme", "default", WINDOW, attempt))
    listed = polled(lambda: started.wait(_listed(started, gone)), bool)
    forget(started, gone)
    assert polled(lambda: started.wait(_found(started.client, listed)), lambda f: not f) == []


async def _listed(started: Started, workflow_id: str) -> list[client.WorkflowExecution]:
    return [each async for each in started.client.list_workflows(f"WorkflowId = '{workflow_id}'")]


async def _found(connected: client.Client, listed: list[client.WorkflowExecution]) -> list[Found]:
    return [found for found in await few_at_once(partial(_with_input, connected), listed) if found]


def test_t8_a_workflow_that_temporal_has_forgotten_is_unknown(
    temporal: Temporal, started: Started, attempt: str
) -> None:
    gone = started.start(OPEN, an_input("acme", "default", WINDOW, attempt))
    assert ids(polled(lambda: temporal.of_attempt(OPEN, "acme", WINDOW, attempt), bool)) == {gone}
    forget(started, gone)
    assert seen(temporal, gone, WorkflowState.UNKNOWN).state is WorkflowState.UNKNOWN
    assert polled(lambda: temporal.of_attempt(OPEN, "acme", WINDOW, attempt), lambda f: not f) == ()
    temporal.cancel(gone)  # and nothing to end is no error


def test_d8_a_cancel_reaches_the_workflow_and_is_harmless_when_repeated(temporal: Temporal, started: Started) -> None:
    with started.worker():
        running = started.start(CLUMSY, "hang", queue=QUEUE)
        polled(lambda: temporal.status(running), lambda s: s.progress is not None)
        temporal.cancel(running)
        temporal.cancel(running)
        assert seen(temporal, running, WorkflowState.CANCELED).state is WorkflowState.CANCELED
        temporal.cancel(running)
    temporal.cancel("no-such-workflow")


def test_d8_ctrl_c_in_the_middle_of_a_call_is_not_taken_for_a_temporal_that_is_away(temporal: Temporal) -> None:
    async def call() -> None:
        threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:  # as the SDK tells a cancelled call
            raise RPCError("cancelled", RPCStatusCode.CANCELLED, b"") from None

    with pytest.raises(KeyboardInterrupt):
        temporal._call(call())
    temporal.check()


def test_a_temporal_that_answers_passes_the_check(temporal: Temporal) -> None:
    temporal.check()


def test_a_namespace_that_is_not_there_is_missing_by_name(address: TemporalAddress) -> None:
    away = Temporal(address.model_copy(update={"namespace": "nowhere"}))
    with pytest.raises(PipelineError, match="namespace nowhere") as raised:
        away.check()
    away.close()
    assert raised.value.kind is Kind.MISSING
    assert address.address in raised.value.where


def test_a_temporal_that_is_away_names_its_address_and_is_asked_again_when_it_is_back(
    address: TemporalAddress, started: Started
) -> None:
    forward = Forward(address.address)
    away = Temporal(address.model_copy(update={"address": f"127.0.0.1:{forward.port}"}))
    running = started.start(OPEN, "x")
    for _ in range(2):
        with pytest.raises(PipelineError, match="Temporal is away") as raised:
            away.status(running)
        assert raised.value.kind is Kind.UNREACHABLE
        assert f"127.0.0.1:{forward.port}" in raised.value.where
        forward.open()
        assert away.status(running).state is WorkflowState.RUNNING
        forward.close()
    away.close()
