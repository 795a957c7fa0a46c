"""Executions of reindex workflows: found by the Job's log lines or by their input, polled, cancelled.

Workflow ids are opaque: `acme` is a prefix of `acme-east` (trap K4). An execution is ours only if the log line of our
launch names it, or its input does (customer, profile, range, attempt id).
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from itertools import combinations
from typing import Any, TypeVar

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from backfill_pipeline.clients.temporal_history import CALL_TIMEOUT, chain, failure_of, input_of, left_at_work
from backfill_pipeline.config import TemporalAddress
from backfill_pipeline.domain.contracts import Progress, ReindexInput, progress_from
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.status import OpenExecution
from backfill_pipeline.domain.windows import Window, parse_rfc3339, rfc3339

K = TypeVar("K")
T = TypeVar("T")
Range = tuple[datetime, datetime]
ANSWER_SECONDS = 2 * CALL_TIMEOUT.total_seconds()  # of what asks for one execution, in a few calls
# Of a search, whose calls are bounded one by one: a namespace may hold tens of thousands of executions, on a slow link.
SEARCH_SECONDS = 600.0
AT_ONCE = 16  # calls of a search


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
        """Closed without its activity's result: a try thought dead, or one that hung, may still write (trap T3)."""
        return self.is_cut_off or self in (WorkflowState.FAILED, WorkflowState.CANCELED)

    @property
    def is_cut_off(self) -> bool:
        return self in (WorkflowState.TERMINATED, WorkflowState.TIMED_OUT)


@dataclass(frozen=True)
class WorkflowStatus:
    """may_write_until: of one that is closed, a try of its activity may go on until then; None: none does."""

    workflow_id: str
    state: WorkflowState
    progress: Progress | None = None
    started_at: datetime | None = None
    closed_at: datetime | None = None
    attempt: int = 0
    last_heartbeat: datetime | None = None
    failure: str = ""
    may_write_until: datetime | None = None

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
        """Running executions of this customer whose range overlaps the window.

        Raises:
            PipelineError: UNREACHABLE; or RETRY, not all could be read in time.
        """
        query = f"WorkflowType = '{_word(workflow_type)}' AND ExecutionStatus = 'Running'"
        return tuple(f for f in self._searched(self._found(query)) if _overlaps(f.input, customer, window))

    def of_attempt(
        self, workflow_type: str, customer: str, window: Window, attempt_id: str, *, since: datetime | None = None
    ) -> tuple[Found, ...]:
        """Executions whose input has this customer and attempt id, and a range in the window: the way when the log is gone
        (trap K4).

        Args:
            since: only those that started later are looked at; each costs a call, and a namespace may hold thousands.

        Raises:
            PipelineError: two candidates for one profile and day; UNREACHABLE; or RETRY, not all could be read in time.
        """
        query = f"WorkflowType = '{_word(workflow_type)}'"
        query += f" AND StartTime >= '{rfc3339(since)}'" if since else ""
        ours = [
            f
            for f in self._searched(self._found(query))
            if f.input.attempt_id == attempt_id and _overlaps(f.input, customer, window)
        ]
        if any(_are_one(one.input, other.input) for one, other in combinations(ours, 2)):
            raise _two_candidates(customer, attempt_id, [f.workflow_id for f in ours])
        return tuple(ours)

    def open_now(self, types: Iterable[str], *, seconds: float) -> tuple[OpenExecution, ...]:
        """Every open execution of these types, with what its input and its last heartbeat say.

        Raises:
            PipelineError: UNREACHABLE; or RETRY, not all was told within these seconds.
        """
        return tuple(self._searched(self._open_now([_word(t) for t in types]), seconds))

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._run(work, ANSWER_SECONDS)
        except TimeoutError as error:
            raise self._translated(error) from error

    def _searched(self, work: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
        bound = SEARCH_SECONDS if seconds is None else seconds
        try:
            return self._run(work, bound)
        except TimeoutError as error:
            raise self._not_all_read(bound) from error

    def _run(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        async def bounded() -> T:
            return await asyncio.wait_for(work, seconds)

        try:
            return self._loop.run_until_complete(bounded())
        except TimeoutError:
            raise
        except (RPCError, RuntimeError, OSError) as error:
            raise self._translated(error) from error

    def _not_all_read(self, seconds: float) -> PipelineError:
        return PipelineError(
            "Not all of Temporal's executions were read in time",
            where=f"Temporal {self._address}, namespace {self._address.namespace}",
            why=f"they are many or the link is slow: {seconds:.0f} s were not enough, though no single call failed",
            next_step="rerun when the namespace or the link is less busy; look at Temporal's own load",
            kind=Kind.RETRY,
        )

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
        return await _with_its_end(status, handle) if status.state.may_leave_an_activity else status

    async def _cancel(self, workflow_id: str) -> None:
        client = await self._connected()
        await client.get_workflow_handle(workflow_id).cancel(rpc_timeout=CALL_TIMEOUT)

    async def _open_now(self, types: list[str]) -> list[OpenExecution]:
        client = await self._connected()
        query = f"WorkflowType IN ({', '.join(map(repr, types))}) AND ExecutionStatus = 'Running'"
        listed = [e async for e in client.list_workflows(query, rpc_timeout=CALL_TIMEOUT)]
        seen = await few_at_once(partial(_seen, client), listed)
        return [each for each in seen if each]

    async def _found(self, query: str) -> list[Found]:
        client = await self._connected()
        listed = [e async for e in client.list_workflows(query, rpc_timeout=CALL_TIMEOUT)]
        runs = [found for found in await few_at_once(partial(_with_input, client), listed) if found]
        # One that continued as new or was reset has several runs: a single execution, whose newest run is listed first.
        newest = {found.workflow_id: found for found in reversed(runs)}
        return list(newest.values())


async def few_at_once(ask: Callable[[K], Coroutine[Any, Any, T]], about: Iterable[K]) -> list[T]:
    """The answers in their order. The first failure ends the other calls: they would go on beside the next search."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(each: K) -> T:
        async with room:
            return await ask(each)

    calls = [asyncio.ensure_future(one(each)) for each in about]
    try:
        return await asyncio.gather(*calls)
    finally:
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def _with_input(client: Client, listed: WorkflowExecution) -> Found | None:
    """None if its input is of another form, or retention has removed it since it was listed (trap T8)."""
    try:
        given = await input_of(client, listed)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None
    return Found(listed.id, given, _state(listed.status), listed.close_time) if given else None


async def _seen(client: Client, listed: WorkflowExecution) -> OpenExecution | None:
    """None if it has closed since it was listed: the list lags behind."""
    try:
        handle = client.get_workflow_handle(listed.id, run_id=listed.run_id)
        status = await _described(client, await handle.describe(rpc_timeout=CALL_TIMEOUT))
        given = await input_of(client, listed)
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
        chain(pending[0].last_failure) if pending and pending[0].HasField("last_failure") else "",
    )


async def _with_its_end(status: WorkflowStatus, handle: Any) -> WorkflowStatus:
    failure = "" if status.state is WorkflowState.CANCELED else await failure_of(handle)
    left = await left_at_work(handle, cut_off=status.state.is_cut_off)
    until = status.closed_at + left if status.closed_at and left else None
    return replace(status, failure=failure or status.failure, may_write_until=until)


def _state(status: WorkflowExecutionStatus | None) -> WorkflowState:
    if status is None:
        return WorkflowState.UNKNOWN
    if status is WorkflowExecutionStatus.CONTINUED_AS_NEW:
        return WorkflowState.RUNNING
    return WorkflowState(status.name)


def _overlaps(given: ReindexInput, customer: str, window: Window) -> bool:
    return given.customer_id == customer and _meet(_range(given), (window.start_time, window.end_time))


def _are_one(one: ReindexInput, other: ReindexInput) -> bool:
    """Whether both would write the same rows; the parts of an attempt follow one another."""
    return one.profile_id == other.profile_id and _meet(_range(one), _range(other))


def _range(given: ReindexInput) -> Range | None:
    try:
        return parse_rfc3339(given.start_time), parse_rfc3339(given.end_time)
    except Refused:
        return None


def _meet(one: Range | None, other: Range | None) -> bool:
    """A range that can't be read may overlap."""
    return one is None or other is None or (one[0] < other[1] and other[0] < one[1])


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
