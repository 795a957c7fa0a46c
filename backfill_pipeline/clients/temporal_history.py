"""What the history of an execution tells: its input, why it ended, and whether a try of its activity may have outlived it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio.api.enums.v1 import TimeoutType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecution

from backfill_pipeline.domain.contracts import HEARTBEAT_TIMEOUT_SECONDS, ReindexInput

CALL_TIMEOUT = timedelta(seconds=15)
TIMED_OUT = "its execution or run time-out was over; was a worker polling its queue?"
MOST_EVENTS = 500  # that are read of a history; ours have a dozen, another worker's may have tens of thousands
# What an execution may wait for, and how each says itself that it is over; a time-out is not its own word.
_BEGINS = ("activity_task_scheduled", "start_child_workflow_execution_initiated")
_ENDS = ("activity_task_completed", "activity_task_failed", "activity_task_canceled")


async def input_of(client: Client, execution: WorkflowExecution) -> ReindexInput | None:
    """The first history event's input; None if it is not of our form (another worker's own)."""
    handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
    async for event in handle.fetch_history_events(page_size=1, rpc_timeout=CALL_TIMEOUT):
        payloads = event.workflow_execution_started_event_attributes.input.payloads
        try:
            return (await client.data_converter.decode(payloads, [ReindexInput]))[0] if payloads else None
        except (TypeError, ValueError, KeyError, RuntimeError):
            return None
    return None


async def failure_of(handle: Any) -> str:
    """What the closing event says of its causes, or of who ended it."""
    events = handle.fetch_history_events(event_filter_type=2, rpc_timeout=CALL_TIMEOUT)  # 2: the close event only
    async for event in events:
        if event.HasField("workflow_execution_timed_out_event_attributes"):
            return TIMED_OUT
        failed = chain(event.workflow_execution_failed_event_attributes.failure)
        return failed or event.workflow_execution_terminated_event_attributes.reason
    return ""


async def left_at_work(handle: Any, *, cut_off: bool) -> timedelta | None:
    """How long after its end a try of a closed execution's activity may write (trap T3); None: none is left.

    Args:
        cut_off: somebody else closed it, so what its worker is at did not hear of it, whatever the history holds.
    """
    events = await _first_events(handle)
    if not cut_off and len(events) < MOST_EVENTS and each_said_its_end(events):
        return None
    return silence_of(events)


async def _first_events(handle: Any) -> list[HistoryEvent]:
    events: list[HistoryEvent] = []
    async for event in handle.fetch_history_events(page_size=MOST_EVENTS, rpc_timeout=CALL_TIMEOUT):
        events.append(event)
        if len(events) == MOST_EVENTS:
            break
    return events


def each_said_its_end(events: Sequence[HistoryEvent]) -> bool:
    """Whether all that was begun said itself that it is over, at its first try: no try was thought dead and goes on."""
    begun = {event.event_id for event in events if _name(event) in _BEGINS}
    ended = {_of(event).scheduled_event_id for event in events if _name(event) in _ENDS}
    return begun == ended and all(_of(e).attempt == 1 for e in events if _name(e) == "activity_task_started")


def silence_of(events: Sequence[HistoryEvent]) -> timedelta:
    """The longest that an activity may be silent before it takes itself for dead, as its workflow asked for it."""
    asked: list[timedelta] = [
        _of(e).heartbeat_timeout.ToTimedelta() for e in events if _name(e) == "activity_task_scheduled"
    ]
    return max([timedelta(seconds=HEARTBEAT_TIMEOUT_SECONDS), *asked])


def _name(event: HistoryEvent) -> str:
    return (event.WhichOneof("attributes") or "").removesuffix("_event_attributes")


def _of(event: HistoryEvent) -> Any:
    return getattr(event, event.WhichOneof("attributes") or "")


def chain(failure: Failure) -> str:
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
