"""Executions of reindex workflows: found by the Job's log lines or by their input, polled, cancelled.

Workflow ids are opaque: `acme` is a prefix of `acme-east` (trap K4). An execution is ours only if the log line of our
launch names it, or its input does (customer, profile, range, attempt id).
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from temporalio.api.enums.v1 import TimeoutType
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from backfill_pipeline.config import TemporalAddress
from backfill_pipeline.domain.contracts import Progress, ReindexInput, progress_from
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.status import OpenExecution
from backfill_pipeline.domain.windows import Window, parse_rfc3339, rfc3339

T = TypeVar("T")
CALL_TIMEOUT = timedelta(seconds=15)
AT_ONCE = 16  # calls about open executions, two for each
TIMED_OUT = "its execution or run time-out was over; was a worker polling its queue?"


class WorkflowState(StrEnum):
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    TERMINATED = "TERMINATED"
    TIMED_OUT = "TIMED_OUT"
    UNKNOWN = "UNKNOWN"  # retention has removed it (trap T8): the verdict comes from verification

    @property
    def may_leave_an_activity(self) -> bool:
        """Closed without waiting for its activity: a try thought dead may still write (trap T3)."""
        return self in (WorkflowState.FAILED, WorkflowState.TERMINATED, WorkflowState.TIMED_OUT)


@dataclass(frozen=True)
class WorkflowStatus:
    workflow_id: str
    state: WorkflowState
    progress: Progress | None = None
    started_at: datetime | None = None
    closed_at: datetime | None = None
    attempt: int = 0
    last_heartbeat: datetime | None = None
    failure: str = ""

    @property
    def problem(self) -> str:
        """How it ended, in words that `domain.failures` knows the causes by."""
        return f"workflow {self.workflow_id} {self.state}: {self.failure or 'no reason given'}"


@dataclass(frozen=True)
class Found:
    """A workflow with the input that it was started with."""

    workflow_id: str
    input: ReindexInput
    state: WorkflowState
    closed_at: datetime | None


class Temporal:
    """A sync view of one cluster's Temporal; not for use by several threads at once.

    Every call has a time-out. UNREACHABLE errors name the address; a poller may go on asking.
    """

    def __init__(self, address: TemporalAddress) -> None:
        self._address = address
        # No asyncio.Runner: it turns Ctrl-C into a cancelled call, which then looks like a Temporal that is away.
        self._loop = asyncio.new_event_loop()
        self._client: Client | None = None

    def close(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def check(self) -> None:
        """Return if Temporal answers and the namespace exists.

        Raises:
            PipelineError: UNREACHABLE with the address, or MISSING namespace.
        """
        self._call(self._count("WorkflowType = 'none'"))

    def status(self, workflow_id: str) -> WorkflowStatus:
        """State, progress and failure of an execution; UNKNOWN if Temporal no longer has it."""
        try:
            return self._call(self._status(workflow_id))
        except PipelineError as error:
            if error.kind is Kind.MISSING:
                return WorkflowStatus(workflow_id, WorkflowState.UNKNOWN, failure="Temporal no longer has it")
            raise

    def cancel(self, workflow_id: str) -> None:
        """Ask the execution to end; one that is closed or gone is left alone."""
        try:
            self._call(self._cancel(workflow_id))
        except PipelineError as error:
            if error.kind is not Kind.MISSING:
                raise

    def open_on(self, workflow_type: str, customer: str, window: Window) -> tuple[Found, ...]:
        """Running executions of this customer whose range overlaps the window."""
        query = f"WorkflowType = '{_word(workflow_type)}' AND ExecutionStatus = 'Running'"
        return tuple(f for f in self._call(self._found(query)) if _overlaps(f.input, customer, window))

    def of_attempt(
        self, workflow_type: str, customer: str, window: Window, attempt_id: str, *, since: datetime | None = None
    ) -> tuple[Found, ...]:
        """Executions whose input has this customer, range and attempt id: the way when the log is gone (trap K4).

        Args:
            since: only those that started later are looked at; each costs a call, and a namespace may hold thousands.

        Raises:
            PipelineError: two candidates for one profile.
        """
        query = f"WorkflowType = '{_word(workflow_type)}'"
        query += f" AND StartTime >= '{rfc3339(since)}'" if since else ""
        ours = [
            f
            for f in self._call(self._found(query))
            if f.input.attempt_id == attempt_id and _overlaps(f.input, customer, window)
        ]
        profiles = [f.input.profile_id for f in ours]
        if len(profiles) > len(set(profiles)):
            raise _two_candidates(customer, attempt_id, [f.workflow_id for f in ours])
        return tuple(ours)

    def open_now(self, types: Iterable[str], *, seconds: float) -> tuple[OpenExecution, ...]:
        """Every open execution of these types, with what its input and its last heartbeat say.

        Raises:
            PipelineError: UNREACHABLE, not all was told within these seconds.
        """
        return tuple(self._call(self._open_now([_word(t) for t in types]), seconds))

    def _call(self, work: Coroutine[Any, Any, T], seconds: float = CALL_TIMEOUT.total_seconds() * 2) -> T:
        async def bounded() -> T:
            return await asyncio.wait_for(work, seconds)

        try:
            return self._loop.run_until_complete(bounded())
        except (RPCError, RuntimeError, TimeoutError, OSError) as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> PipelineError:
        is_missing = isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND
        where = f"Temporal {self._address}, namespace {self._address.namespace}"
        why = " ".join(str(error).split())[:300] or type(error).__name__
        if is_missing:
            return PipelineError(
                "Temporal does not have it",
                where=where,
                why=why,
                next_step="check the namespace; a workflow older than the retention is gone",
                kind=Kind.MISSING,
            )
        return PipelineError(
            "Temporal is away",
            where=where,
            why=why,
            next_step="check that it runs there and that the address is right, then rerun; the run continues",
            kind=Kind.UNREACHABLE,
        )

    async def _connected(self) -> Client:
        if self._client is None:
            self._client = await Client.connect(self._address.address, namespace=self._address.namespace)
        return self._client

    async def _count(self, query: str) -> int:
        client = await self._connected()
        return (await client.count_workflows(query, rpc_timeout=CALL_TIMEOUT)).count

    async def _status(self, workflow_id: str) -> WorkflowStatus:
        client = await self._connected()
        handle = client.get_workflow_handle(workflow_id)
        found = await handle.describe(rpc_timeout=CALL_TIMEOUT)
        status = await _described(client, found)
        if status.state in (WorkflowState.FAILED, WorkflowState.TIMED_OUT, WorkflowState.TERMINATED):
            return _with_failure(status, await _failure(handle, found.run_id))
        return status

    async def _cancel(self, workflow_id: str) -> None:
        client = await self._connected()
        await client.get_workflow_handle(workflow_id).cancel(rpc_timeout=CALL_TIMEOUT)

    async def _open_now(self, types: list[str]) -> list[OpenExecution]:
        client = await self._connected()
        query = f"WorkflowType IN ({', '.join(map(repr, types))}) AND ExecutionStatus = 'Running'"
        listed = [e async for e in client.list_workflows(query, rpc_timeout=CALL_TIMEOUT)]
        few = asyncio.Semaphore(AT_ONCE)
        seen = await asyncio.gather(*(_seen(client, each, few) for each in listed))
        return [each for each in seen if each]

    async def _found(self, query: str) -> list[Found]:
        client = await self._connected()
        listed = client.list_workflows(query, rpc_timeout=CALL_TIMEOUT)
        runs = [found async for found in _with_input(client, listed)]
        # One that continued as new or was reset has several runs: a single execution, whose newest run is listed first.
        newest = {found.workflow_id: found for found in reversed(runs)}
        return list(newest.values())


async def _with_input(client: Client, listed: AsyncIterator[WorkflowExecution]) -> AsyncIterator[Found]:
    async for execution in listed:
        try:
            given = await _input_of(client, execution)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            continue  # retention has removed it since it was listed (trap T8)
        if given:
            yield Found(execution.id, given, _state(execution.status), execution.close_time)


async def _seen(client: Client, listed: WorkflowExecution, few: asyncio.Semaphore) -> OpenExecution | None:
    """None if it has closed since it was listed: the list lags behind."""
    async with few:
        try:
            handle = client.get_workflow_handle(listed.id, run_id=listed.run_id)
            status = await _described(client, await handle.describe(rpc_timeout=CALL_TIMEOUT))
            given = await _input_of(client, listed)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None
    return _as_open(listed, status, given) if status.state is WorkflowState.RUNNING else None


def _as_open(listed: WorkflowExecution, status: WorkflowStatus, given: ReindexInput | None) -> OpenExecution:
    return OpenExecution(
        workflow_id=listed.id,
        type=listed.workflow_type,
        started_at=listed.start_time,
        customer=given.customer_id if given else None,
        profile=given.profile_id if given else None,
        start_time=given.start_time if given else None,
        end_time=given.end_time if given else None,
        attempt_id=given.attempt_id if given else None,
        done=status.progress.done if status.progress else None,
        total=status.progress.total if status.progress else None,
        attempt=status.attempt,
        last_heartbeat=status.last_heartbeat,
        failure=status.failure,
    )


async def _input_of(client: Client, execution: WorkflowExecution) -> ReindexInput | None:
    """The first history event's input; None if it is not of our form (another worker's own)."""
    handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
    async for event in handle.fetch_history_events(page_size=1, rpc_timeout=CALL_TIMEOUT):
        payloads = event.workflow_execution_started_event_attributes.input.payloads
        try:
            return (await client.data_converter.decode(payloads, [ReindexInput]))[0] if payloads else None
        except (TypeError, ValueError, KeyError, RuntimeError):
            return None
    return None


async def _described(client: Client, found: WorkflowExecutionDescription) -> WorkflowStatus:
    pending = found.raw_description.pending_activities
    details: list[Any] = []
    if pending and pending[0].heartbeat_details.payloads:
        details = await client.data_converter.decode(pending[0].heartbeat_details.payloads)
    first = details[0] if details and isinstance(details[0], Mapping) else None
    beat = pending[0].last_heartbeat_time if pending else None
    return WorkflowStatus(
        found.id,
        _state(found.status),
        progress_from(first),
        found.start_time,
        found.close_time,
        pending[0].attempt if pending else 0,
        beat.ToDatetime(tzinfo=found.start_time.tzinfo) if beat and beat.seconds else None,
        _chain(pending[0].last_failure) if pending and pending[0].HasField("last_failure") else "",
    )


async def _failure(handle: Any, run_id: str | None) -> str:
    """What the closing event says of its causes, or of who ended it."""
    events = handle.fetch_history_events(event_filter_type=2, rpc_timeout=CALL_TIMEOUT)  # 2: the close event only
    async for event in events:
        if event.HasField("workflow_execution_timed_out_event_attributes"):
            return TIMED_OUT
        failed = _chain(event.workflow_execution_failed_event_attributes.failure)
        return failed or event.workflow_execution_terminated_event_attributes.reason
    return ""


def _chain(failure: Failure) -> str:
    """The messages of a failure and of its causes, outermost first, each with its type."""
    links = [failure]
    while links[-1].HasField("cause"):
        links.append(links[-1].cause)
    return ": ".join(said for said in map(_link, links) if said)


def _link(failure: Failure) -> str:
    """Its type too: what a worker says in words of its own is known by it, and a cancelled one may say nothing."""
    kind = _type_of(failure)
    return " ".join(part for part in (failure.message, f"(type {kind})" if kind else "") if part)


def _type_of(failure: Failure) -> str:
    which = failure.WhichOneof("failure_info")
    if which == "timeout_failure_info":
        return TimeoutType.Name(failure.timeout_failure_info.timeout_type)
    if which == "application_failure_info":
        return failure.application_failure_info.type
    return {"canceled_failure_info": "canceled", "terminated_failure_info": "terminated"}.get(which or "", "")


def _with_failure(status: WorkflowStatus, failure: str) -> WorkflowStatus:
    return WorkflowStatus(**{**vars(status), "failure": failure or status.failure})


def _state(status: WorkflowExecutionStatus | None) -> WorkflowState:
    if status is None:
        return WorkflowState.UNKNOWN
    if status is WorkflowExecutionStatus.CONTINUED_AS_NEW:
        return WorkflowState.RUNNING
    return WorkflowState(status.name)


def _overlaps(given: ReindexInput, customer: str, window: Window) -> bool:
    if given.customer_id != customer:
        return False
    try:
        start, end = parse_rfc3339(given.start_time), parse_rfc3339(given.end_time)
    except Refused:
        return True  # a range that can't be read may overlap
    return start < window.end_time and window.start_time < end


def _word(text: str) -> str:
    assert text.isalnum(), text
    return text


def _two_candidates(customer: str, attempt_id: str, ids: list[str]) -> PipelineError:
    return PipelineError(
        "Two workflows claim to be the same execution",
        where=f"customer {customer}, attempt {attempt_id}",
        why=", ".join(ids),
        next_step="look at both in Temporal's UI, end the one that is wrong, then rerun",
    )
