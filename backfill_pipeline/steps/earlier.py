"""What earlier attempts on the same days left behind is ended before anything is deleted (traps D16, T3).

A run that was killed may have left a Job and workflows at work. They are ours by the ledger, and the lease that this
attempt now holds says that nobody follows them any more. Workflows that the ledger does not know block the delete.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from backfill_pipeline.clients.temporal import Found, WorkflowState
from backfill_pipeline.domain import naming
from backfill_pipeline.domain.contracts import HEARTBEAT_TIMEOUT_SECONDS
from backfill_pipeline.domain.datasets import DATASETS, WorkflowKind
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.plans import Attempt, Claim
from backfill_pipeline.steps.systems import Systems

CLOSE_DEADLINE_SECONDS = 90


def end_earlier_attempts(systems: Systems, claim: Claim) -> None:
    """Return when no Job or workflow of an earlier attempt on these days can write any more.

    A Job that does the work itself can't when its process is gone.

    Raises:
        Refused: an open workflow of the same customer and range is not ours.
        PipelineError: RETRY, one of ours does not close in time.
    """
    earlier = systems.ledger.unended(claim)
    parts = [part for attempt in earlier for part in attempt.parts]
    for part in parts:
        systems.log(f"ending what {part} left")
        systems.launcher.cancel(_job_name(part))
    if workflow := DATASETS[claim.dataset].workflow:
        _wait_until_listed(systems, workflow, parts)
        _close_workflows(systems, claim, workflow, {a.attempt_id for a in earlier})
        _wait_for_zombies(systems, workflow, parts)
    for attempt in earlier:
        systems.ledger.audit(attempt, "abandoned", "unknown", {"taken_over_by": claim.attempt_id})
        systems.ledger.mark_ended(attempt)


def started_after(attempt: Attempt) -> datetime:
    """No execution of the attempt is older: its marker was drawn first. Minutes are for clocks that differ."""
    return attempt.marker - timedelta(minutes=10)


def _job_name(attempt: Attempt) -> str:
    return naming.job_name(attempt.dataset, attempt.cluster, attempt.customer, attempt.window, attempt.attempt_id)


def _wait_until_listed(systems: Systems, workflow: WorkflowKind, parts: Iterable[Attempt]) -> None:
    """Temporal's list lags behind: what a Job started a moment ago is not in it yet, and would pass for never started."""
    for attempt in parts:
        ids = _workflow_ids(workflow, attempt)
        there = {i for i in ids if systems.temporal.status(i).state is not WorkflowState.UNKNOWN}
        end = systems.clock() + CLOSE_DEADLINE_SECONDS
        while missing := there - {f.workflow_id for f in _of_attempt(systems, workflow, attempt)}:
            if systems.clock() > end:
                raise _goes_on(attempt, missing, f"there, but not listed within {CLOSE_DEADLINE_SECONDS} s")
            systems.sleep(0.2)


def _workflow_ids(workflow: WorkflowKind, attempt: Attempt) -> Iterator[str]:
    """Those of our own workers; others' are found by their input alone."""
    for profile in attempt.profiles:
        uuid = naming.execution_uuid(
            attempt.attempt_id, workflow.prefix, attempt.customer, profile, attempt.window.start_time
        )
        yield naming.workflow_id(workflow.prefix, attempt.customer, profile, uuid)


def _of_attempt(systems: Systems, workflow: WorkflowKind, attempt: Attempt) -> tuple[Found, ...]:
    who = (workflow.type, attempt.customer, attempt.window, attempt.attempt_id)
    return systems.temporal.of_attempt(*who, since=started_after(attempt))


def _close_workflows(systems: Systems, claim: Claim, workflow: WorkflowKind, ours: set[str]) -> None:
    end = systems.clock() + CLOSE_DEADLINE_SECONDS
    while still_open := open_of_others(systems, claim, workflow):
        _refuse_foreign(claim, [f for f in still_open if f.input.attempt_id not in ours])
        if systems.clock() > end:
            ids = [f.workflow_id for f in still_open]
            raise _goes_on(claim, ids, f"open {CLOSE_DEADLINE_SECONDS} s after its cancel")
        for found in still_open:
            systems.temporal.cancel(found.workflow_id)
        systems.sleep(0.5)


def open_of_others(systems: Systems, claim: Claim, workflow: WorkflowKind) -> list[Found]:
    """Open workflows on these days but for this attempt's own: the step may be repeated after they were started."""
    found = systems.temporal.open_on(workflow.type, claim.customer, claim.window)
    return [f for f in found if f.input.attempt_id != claim.attempt_id]


def _wait_for_zombies(systems: Systems, workflow: WorkflowKind, parts: Iterable[Attempt]) -> None:
    """A workflow that closed without waiting for its activity may leave one at work for a heartbeat time-out."""
    for attempt in parts:
        for found in _of_attempt(systems, workflow, attempt):
            _wait_for_zombie(systems, found)


def _wait_for_zombie(systems: Systems, found: Found) -> None:
    if not found.closed_at:
        return
    safe = found.closed_at + timedelta(seconds=HEARTBEAT_TIMEOUT_SECONDS)
    left = (safe - datetime.now(UTC)).total_seconds()
    if left > 0 and _left_an_activity(systems, found):
        systems.log(
            f"{found.workflow_id} closed as {found.state}; its activity may write for {left:.0f} s more: waiting"
        )
        systems.sleep(left)


def _left_an_activity(systems: Systems, found: Found) -> bool:
    """A cancelled workflow does too: it gives a transfer that hangs some seconds, and closes without it."""
    return found.state.may_leave_an_activity or systems.temporal.status(found.workflow_id).attempt > 0


def named(found: Found) -> str:
    return f"{found.workflow_id} [{found.input.start_time}, {found.input.end_time})"


def _refuse_foreign(claim: Claim, foreign: list[Found]) -> None:
    if foreign:
        raise Refused(
            "A workflow of the same customer and range is open and not ours",
            where=f"{claim.customer} on {claim.cluster}, {claim.window}",
            why=", ".join(map(named, foreign)),
            next_step="wait until it has closed, or cancel it in Temporal, then rerun",
        )


def _goes_on(claim: Claim, ids: Iterable[str], why: str) -> PipelineError:
    return PipelineError(
        "A workflow of an earlier attempt may go on writing",
        where=f"{claim.customer} on {claim.cluster}, {claim.window}",
        why=f"{', '.join(ids)}: {why}",
        next_step="look it up by its id in Temporal's UI, terminate it if it is open, then rerun",
        kind=Kind.RETRY,
    )
