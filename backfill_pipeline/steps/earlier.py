"""What earlier attempts on the same days left behind is ended before anything is deleted (traps D16, T3).

A run that was killed may have left a Job and workflows at work. They are ours by the ledger, and the lease that this
attempt now holds says that nobody follows them any more. Workflows that the ledger does not know block the delete.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from backfill_pipeline.clients.temporal import Found, WorkflowState, WorkflowStatus
from backfill_pipeline.domain import naming
from backfill_pipeline.domain.datasets import DATASETS, WorkflowKind
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.plans import Attempt, Claim
from backfill_pipeline.steps.systems import Systems

CLOSE_DEADLINE_SECONDS = 90


def end_earlier_attempts(systems: Systems, claim: Claim) -> None:
    """Return when no Job or workflow of an earlier attempt on these days can write any more.

    A Job that does the work itself can't when its process is gone.

    Raises:
        Refused: an open workflow of the same customer and range is not ours, or a Job may be at work in another place.
        PipelineError: RETRY, one of ours does not close in time.
    """
    earlier = systems.ledger.unended(claim)
    _refuse_elsewhere(systems, claim, earlier)
    parts = [part for attempt in earlier for part in attempt.parts]
    for part in parts:
        systems.log(f"ending what {part} left")
        systems.launcher.cancel(_job_name(part))
    if workflow := DATASETS[claim.dataset].workflow:
        for status in _closed(systems, claim, _left(systems, claim, workflow, earlier)):
            _wait_for_zombie(systems, status)
    for attempt in earlier:
        systems.ledger.audit(attempt, "abandoned", "unknown", {"taken_over_by": claim.attempt_id})
        systems.ledger.mark_ended(attempt)


def _started_after(attempt: Attempt) -> datetime:
    """No execution of the attempt is older: its marker was drawn first. Minutes are for clocks that differ."""
    return attempt.marker - timedelta(minutes=10)


def elsewhere(systems: Systems, earlier: Sequence[Attempt]) -> dict[str, str]:
    """Attempt id -> why its Jobs can't be ended: to a launcher that looks in another place they are gone."""
    here = systems.cluster.launcher.place
    return {
        a.attempt_id: f"run {a.run_id} makes its Jobs in another place ({a.jobs_at}) than the launcher does now ({here}), "
        f"and they may be at work there: {', '.join(map(_job_name, a.parts))}"
        for a in earlier
        if a.jobs_at not in (None, here)
    }


def _refuse_elsewhere(systems: Systems, claim: Claim, earlier: Sequence[Attempt]) -> None:
    if found := elsewhere(systems, earlier):
        ids = ", ".join(f"'{attempt_id}'" for attempt_id in found)
        told = f"UPDATE ledger.markers SET jobs_at = NULL WHERE attempt_id IN ({ids})"  # noqa: S608 - for a person
        raise Refused(
            "Jobs of an earlier run on these days can't be ended from here; nothing was touched",
            where=f"{claim.customer} on {claim.cluster}, {claim.window}",
            why="; ".join(found.values()),
            next_step="give the launcher its old place and rerun, which ends them; or see to it that they are gone there, "
            f"tell the ledger so, and rerun: {told}",
        )


def _job_name(attempt: Attempt) -> str:
    return naming.job_name(attempt.dataset, attempt.cluster, attempt.customer, attempt.window, attempt.attempt_id)


def _left(systems: Systems, claim: Claim, workflow: WorkflowKind, earlier: Sequence[Attempt]) -> list[str]:
    """Ids of the earlier attempts' executions, on whatever days of theirs: afterwards each counts as ended as a whole.

    Raises:
        Refused: an open one on the claim's days is nobody's of them.
    """
    started = [i for attempt in earlier for i in _started(systems, workflow, attempt)]
    others = open_of_others(systems, claim, workflow)
    ours = {a.attempt_id for a in earlier}
    _refuse_foreign(claim, [f for f in others if f.input.attempt_id not in ours])
    return list(dict.fromkeys([*started, *(f.workflow_id for f in others)]))


def _started(systems: Systems, workflow: WorkflowKind, attempt: Attempt) -> Sequence[str]:
    """Temporal's list lags behind: what a Job started a moment ago is not in it yet, and would pass for never started."""
    ids = [i for part in attempt.parts for i in own_ids(workflow, part)]
    there = {i for i in ids if systems.temporal.status(i).state is not WorkflowState.UNKNOWN}
    end = systems.clock() + CLOSE_DEADLINE_SECONDS
    while True:
        found = [f.workflow_id for f in of_attempt(systems, workflow, attempt)]
        missing = there - set(found)
        if not missing:
            return found
        if systems.clock() > end:
            raise _goes_on(attempt, missing, f"there, but not listed within {CLOSE_DEADLINE_SECONDS} s")
        systems.sleep(0.2)


def own_ids(workflow: WorkflowKind, part: Attempt) -> Mapping[str, str]:
    """Workflow id -> profile of our own workers' executions; others' are found by their input alone."""
    who, start = (workflow.prefix, part.customer), part.window.start_time
    uuids = {p: naming.execution_uuid(part.attempt_id, *who, p, start) for p in part.profiles}
    return {naming.workflow_id(*who, profile, uuid): profile for profile, uuid in uuids.items()}


def of_attempt(systems: Systems, workflow: WorkflowKind, attempt: Attempt) -> tuple[Found, ...]:
    """Those that Temporal lists on the attempt's days."""
    who = (workflow.type, attempt.customer, attempt.window, attempt.attempt_id)
    return systems.temporal.of_attempt(*who, since=_started_after(attempt))


def _closed(systems: Systems, claim: Claim, ids: Sequence[str]) -> list[WorkflowStatus]:
    """All are told to end before the first is waited for. Each is asked by its id: the list lags behind."""
    for workflow_id in ids:
        systems.temporal.cancel(workflow_id)
    end = systems.clock() + CLOSE_DEADLINE_SECONDS
    return [_closed_by(systems, claim, workflow_id, end) for workflow_id in ids]


def _closed_by(systems: Systems, claim: Claim, workflow_id: str, end: float) -> WorkflowStatus:
    while (status := systems.temporal.status(workflow_id)).state is WorkflowState.RUNNING:
        if systems.clock() > end:
            raise _goes_on(claim, [workflow_id], f"open {CLOSE_DEADLINE_SECONDS} s after its cancel")
        systems.temporal.cancel(workflow_id)
        systems.sleep(0.5)
    return status


def open_of_others(systems: Systems, claim: Claim, workflow: WorkflowKind) -> list[Found]:
    """Open workflows on these days but for this attempt's own: the step may be repeated after they were started."""
    found = systems.temporal.open_on(workflow.type, claim.customer, claim.window)
    return [f for f in found if f.input.attempt_id != claim.attempt_id]


def _wait_for_zombie(systems: Systems, status: WorkflowStatus) -> None:
    if left := may_write_for([status]):
        systems.log(
            f"{status.workflow_id} closed as {status.state}; its activity may write for {left:.0f} s more: waiting"
        )
        systems.sleep(left)


def may_write_for(statuses: Iterable[WorkflowStatus]) -> float:
    """Seconds from now until none of these closed workflows' activities writes any more; 0: none does (trap T3)."""
    now = datetime.now(UTC)
    return max([0.0, *((s.may_write_until - now).total_seconds() for s in statuses if s.may_write_until)])


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
