"""Step 4: follow the Job and its executions until all have closed; progress goes to the run's log.

A dropped connection is no failure. How they ended is written down, not judged: the verdict comes from counting.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from backfill_pipeline.clients.launcher import JobState, JobStatus, tail
from backfill_pipeline.clients.temporal import WorkflowState, WorkflowStatus
from backfill_pipeline.domain.causes import Remedy
from backfill_pipeline.domain.contracts import Execution, Progress, execution_from_line, labelled_from_line
from backfill_pipeline.domain.datasets import DATASETS, WorkflowKind
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.failures import diagnose
from backfill_pipeline.domain.plans import Attempt, Launch
from backfill_pipeline.steps.earlier import may_write_for, started_after
from backfill_pipeline.steps.holding import holding
from backfill_pipeline.steps.launch import make_job
from backfill_pipeline.steps.progress import ProgressLog
from backfill_pipeline.steps.records import ExecutionEnd, Followed, Inspection, Launched, PartEnd
from backfill_pipeline.steps.systems import Systems

CANCEL_SECONDS = 15
STUCK_SECONDS = 120  # a registry that is away for a moment is no reason to give a Job up
VISIBLE_SECONDS = 10  # a workflow started a moment ago may not be listed yet


@dataclass
class Watched:
    """What is known so far: workflow id -> profile, and the last status of each.

    told: profile -> progress, from the log of a Job that does the work itself.
    waited_for: what the Job's pod lacked when it was last seen, if it never ran.
    unread: why the Job's log is not read, where that does not pass.
    has_others: its log names executions that are none of the attempt's.
    is_ended: False, nobody follows the Job any more and it may yet begin.
    """

    profiles: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, WorkflowStatus] = field(default_factory=dict)
    told: dict[str, Progress] = field(default_factory=dict)
    job: JobStatus = field(default_factory=lambda: JobStatus(JobState.PENDING))
    waited_for: str = ""
    unread: str = ""
    has_others: bool = False
    is_ended: bool = True

    @property
    def is_over(self) -> bool:
        return self.job.state.is_over and not self.open_ones

    @property
    def open_ones(self) -> list[str]:
        return [i for i in self.profiles if not _is_closed(self.statuses.get(i))]

    def missing(self, part: Attempt) -> list[str]:
        """Profiles of the part of which no execution is known."""
        return sorted(set(part.profiles) - set(self.profiles.values()))

    @property
    def progress(self) -> list[Progress | None]:
        return [*self.told.values(), *(s.progress for s in self.statuses.values())]


@dataclass
class Patience:
    """With a Job that every look finds stuck."""

    since: float | None = None

    def is_over(self, job: JobStatus, now: float) -> bool:
        if not job.is_stuck:
            self.since = None
            return False
        self.since = now if self.since is None else self.since
        return now - self.since >= STUCK_SECONDS


def follow(systems: Systems, inspection: Inspection, launched: Launched) -> Followed:
    """Poll until the Job and every execution are over; then the same for the window's next part, which is launched here.

    Raises:
        PipelineError: RETRY, not over at the deadline; what goes on is named.
    """
    started, attempt = time.monotonic(), inspection.attempt
    end = systems.clock() + systems.limits.follow_deadline_seconds
    parts, seen = list[PartEnd](), list[Watched]()
    with holding(systems, attempt, "follow", inspection.launched_by):
        for part, planned in zip(attempt.parts, inspection.plan.launches, strict=True):
            if parts and not _may_go_on(systems, parts[-1], part):
                break
            if parts:
                systems.ledger.check_held(attempt)
                launched = _next_launched(systems, planned, end)
            seen.append(Watched())
            parts.append(_followed(systems, part, launched, end, seen))
        _mark_ended(systems, attempt, seen)
    return Followed(tuple(parts), time.monotonic() - started)


def _may_go_on(systems: Systems, last: PartEnd, part: Attempt) -> bool:
    """A part that failed by chance says nothing about the next one's days; one that was too large says it of its like."""
    why = diagnose(last.problems) if last.problems else None
    too_large = why is not None and why.remedy is Remedy.SMALLER and len(last.window.days) > 1
    if why and (too_large or why.remedy in (Remedy.WAIT, Remedy.BY_HAND)):
        systems.log(f"{part.window} and later days are not started: {why}")
        return False
    return True


def _next_launched(systems: Systems, planned: Launch, end: float) -> Launched:
    """The first one's Job is the step before's. A cluster that is away half way through a window is asked again."""
    while True:
        try:
            return make_job(systems, planned)
        except PipelineError as error:
            if not error.may_pass or systems.clock() > end:
                raise
            systems.log(f"asking again: {error}")
            systems.sleep(systems.limits.poll_seconds)


def _followed(systems: Systems, part: Attempt, launched: Launched, end: float, seen: Sequence[Watched]) -> PartEnd:
    """seen: every part that was begun, this one last."""
    watched = seen[-1]
    with _ended_on_cancel(systems, part, launched.job_name, seen):
        _until_over(systems, part, launched.job_name, watched, end)
    problems = _problems(systems, part, launched.job_name, watched)
    return PartEnd(part.window, launched.job_name, launched.log, _ends(watched), problems)


def _mark_ended(systems: Systems, attempt: Attempt, seen: Sequence[Watched]) -> None:
    """An execution that closed may have left a transfer at work: who comes before that is over waits for it (trap T3)."""
    if not all(watched.is_ended for watched in seen):
        return
    left = may_write_for(status for watched in seen for status in watched.statuses.values())
    systems.ledger.mark_ended(attempt, after_seconds=left)


def _until_over(systems: Systems, part: Attempt, job_name: str, watched: Watched, end: float) -> None:
    progress = ProgressLog(systems.log, systems.clock, DATASETS[part.dataset].unit)
    patience = Patience()
    while not _looked(systems, part, job_name, watched):
        progress.tell(watched.progress)
        if patience.is_over(watched.job, systems.clock()):
            _give_up(systems, job_name, watched)
            return
        if systems.clock() > end:
            raise _not_over(part, watched)
        systems.sleep(systems.limits.poll_seconds)
    progress.tell(watched.progress, is_last=True)


def _looked(systems: Systems, part: Attempt, job_name: str, watched: Watched) -> bool:
    """One look at everything; True when all is over. Temporal or Kubernetes away means: ask again."""
    try:
        _look(systems, part, job_name, watched)
        _tell_unread(systems, job_name, watched)
    except PipelineError as error:
        if not error.may_pass:
            raise
        systems.log(f"asking again: {error}")
        return False
    return watched.is_over


def _look(systems: Systems, part: Attempt, job_name: str, watched: Watched) -> None:
    watched.job = systems.launcher.status(job_name)
    if not watched.job.state.is_over:
        _tell_wait(systems, job_name, watched)
    if watched.job.state is JobState.PENDING:
        systems.launcher.resume(job_name)
    workflow = DATASETS[part.dataset].workflow
    if workflow is None:
        watched.told.update(_told(systems, part, job_name))
        return
    watched.profiles.update(_from_log(systems, part, job_name, watched))
    if watched.job.state.is_over and watched.missing(part):
        watched.profiles.update(_from_input(systems, part, workflow))
    _look_at_executions(systems, watched)


def _tell_wait(systems: Systems, job_name: str, watched: Watched) -> None:
    """The window is emptied, and a pod may find no room for hours: whoever reads the run's log must see for what it waits."""
    waits_for = watched.job.reason if watched.job.state is JobState.PENDING else ""
    if waits_for and waits_for != watched.waited_for:
        systems.log(f"Job {job_name} has not begun: {waits_for}")
    watched.waited_for = waits_for


def _tell_unread(systems: Systems, job_name: str, watched: Watched) -> None:
    """No end of the window: Temporal knows its workflows, and the verdict comes from counting."""
    error = systems.launcher.log_error(job_name) if systems.reads_logs else None
    if error and str(error) != watched.unread:
        watched.unread = str(error)
        systems.log(f"going on without the log of Job {job_name}: {error}")


def _look_at_executions(systems: Systems, watched: Watched) -> None:
    for workflow_id in watched.open_ones:
        watched.statuses[workflow_id] = systems.temporal.status(workflow_id)


def _from_log(systems: Systems, part: Attempt, job_name: str, watched: Watched) -> Mapping[str, str]:
    """A line may name anybody's execution, and whatever is followed is cancelled with the run: only the attempt's own."""
    found = [e for e in map(execution_from_line, _log(systems, job_name)) if e]
    _tell_others(systems, part, job_name, watched, [e for e in found if not _is_of(part, e)])
    return {e.workflow_id: e.profile for e in found if _is_of(part, e)}


def _is_of(part: Attempt, named: Execution) -> bool:
    return (named.customer, named.cluster) == (part.customer, part.cluster) and named.profile in part.profiles


def _tell_others(systems: Systems, part: Attempt, job_name: str, watched: Watched, others: Sequence[Execution]) -> None:
    if not others or watched.has_others:
        return
    watched.has_others = True
    named = ", ".join(
        f"{e.workflow_id} (customer {e.customer}, profile {e.profile}, cluster {e.cluster})" for e in others[:5]
    )
    ours = f"customer {part.customer}, profiles {', '.join(part.profiles)}, cluster {part.cluster}"
    systems.log(
        f"WARNING: the log of Job {job_name} names executions that are started for somebody else; they are ignored, "
        f"neither followed nor cancelled. This run's: {ours}. Named: {named}. "
        "Look at the CronJob's command and env, and who changed them"
    )


def _told(systems: Systems, part: Attempt, job_name: str) -> Mapping[str, Progress]:
    found = [f for f in map(labelled_from_line, _log(systems, job_name)) if f]
    return {f.profile: Progress(f.done, 0, f.total) for f in found if f.customer == part.customer}


def _log(systems: Systems, job_name: str) -> Iterator[str]:
    return systems.launcher.log(job_name) if systems.reads_logs else iter(())


def _from_input(systems: Systems, attempt: Attempt, workflow: WorkflowKind) -> Mapping[str, str]:
    """The fall-back when log lines are missing (trap K4); a failed Job may have started fewer, so it is bounded."""
    end = systems.clock() + VISIBLE_SECONDS
    while True:
        found = systems.temporal.of_attempt(
            workflow.type, attempt.customer, attempt.window, attempt.attempt_id, since=started_after(attempt)
        )
        if len(found) >= len(attempt.profiles) or systems.clock() > end:
            return {f.workflow_id: f.input.profile_id for f in found}
        systems.sleep(1)


def _is_closed(status: WorkflowStatus | None) -> bool:
    return status is not None and status.state is not WorkflowState.RUNNING


def _because(watched: Watched) -> str:
    """Why the Job is as it is, and what it waited for if it never ran: its pod, which told it, goes with its end."""
    waited_for = watched.waited_for if watched.job.exit_code is None else ""
    reasons = dict.fromkeys(reason for reason in (watched.job.reason, waited_for) if reason)
    return f": {', before that '.join(reasons)}" if reasons else ""


def _ends(watched: Watched) -> tuple[ExecutionEnd, ...]:
    ends = []
    for workflow_id, profile in sorted(watched.profiles.items(), key=lambda item: item[1]):
        status = watched.statuses[workflow_id]
        done = status.progress.done if status.progress else None
        ends.append(ExecutionEnd(workflow_id, profile, status.state, done, status.failure))
    return tuple(ends)


def _problems(systems: Systems, part: Attempt, job_name: str, watched: Watched) -> tuple[str, ...]:
    problems = []
    if watched.job.state is not JobState.SUCCEEDED:
        problems.append(
            f"Job {job_name} {watched.job.state}{_because(watched)}; {_last_lines(systems, job_name, watched)}"
        )
    for status in watched.statuses.values():
        if status.state is not WorkflowState.COMPLETED:
            problems.append(status.problem)
    missing = watched.missing(part) if DATASETS[part.dataset].workflow else ()
    problems += [f"no execution was started for profile {p}" for p in missing]
    return tuple(problems)


def _last_lines(systems: Systems, job_name: str, watched: Watched) -> str:
    if not systems.reads_logs:
        return "its log was not read"
    lines = tail(list(_log(systems, job_name)))
    return f"its log ends: {lines}" + (f"; more was not read: {watched.unread}" if watched.unread else "")


@contextmanager
def _ended_on_cancel(systems: Systems, part: Attempt, job_name: str, seen: Sequence[Watched]) -> Iterator[None]:
    """Cancelling the run cancels Job and workflows, or says what goes on; the window stays emptied."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        systems.log(f"cancelled: ending {job_name} and its workflows; the window stays emptied")
        try:
            _end_all(systems, part, job_name, seen[-1])
            _mark_ended(systems, part, seen)
        except PipelineError as error:
            systems.log(f"cancelled, but something may go on until the next run ends it: {error}")
        raise


def _end_all(systems: Systems, part: Attempt, job_name: str, watched: Watched) -> None:
    systems.launcher.cancel(job_name, deadline_seconds=CANCEL_SECONDS)
    if workflow := DATASETS[part.dataset].workflow:
        try:
            _learn_executions(systems, part, job_name, watched, workflow)
        finally:  # those that are known are ended though nobody tells of the others
            _close_executions(systems, watched)
        _refuse_unknown(part, watched)


def _learn_executions(systems: Systems, part: Attempt, job_name: str, watched: Watched, workflow: WorkflowKind) -> None:
    """The Job may have started some since the last look, and none is known where its log is not read."""
    with suppress(PipelineError):  # a log that can't be read: Temporal knows them too
        watched.profiles.update(_from_log(systems, part, job_name, watched))
    if watched.missing(part):
        watched.profiles.update(_from_input(systems, part, workflow))


def _close_executions(systems: Systems, watched: Watched) -> None:
    for workflow_id in watched.profiles:
        systems.temporal.cancel(workflow_id)
    end = systems.clock() + CANCEL_SECONDS
    _look_at_executions(systems, watched)
    while watched.open_ones:
        if systems.clock() > end:
            raise _open_after_cancel(watched)
        systems.sleep(0.2)
        _look_at_executions(systems, watched)


def _refuse_unknown(part: Attempt, watched: Watched) -> None:
    """Never started, or not to be seen: unknown is not ended."""
    if missing := watched.missing(part):
        raise PipelineError(
            "Whether the cancelled Job started all of its workflows is not known",
            where=str(part),
            why=f"neither its log nor Temporal within {VISIBLE_SECONDS} s names one for profile {', '.join(missing)}",
            next_step="the next run on these days looks again, and ends what it finds before it deletes",
            kind=Kind.RETRY,
        )


def _open_after_cancel(watched: Watched) -> PipelineError:
    return PipelineError(
        "Workflows are open after their cancel",
        where=", ".join(watched.open_ones),
        why=f"not closed within {CANCEL_SECONDS} s",
        next_step="the next run on these days ends them before it deletes",
        kind=Kind.RETRY,
    )


def _give_up(systems: Systems, job_name: str, watched: Watched) -> None:
    """Ended before it is told: once mended it would begin, with nobody there to follow it."""
    try:
        systems.launcher.cancel(job_name, deadline_seconds=CANCEL_SECONDS)
        left = "it was ended"
    except PipelineError as error:
        watched.is_ended = False
        left = f"it may go on until the next run ends it: {error}"
    reason = f"it can't start: {watched.job.reason}, for {STUCK_SECONDS} s; {left}"
    watched.job = JobStatus(JobState.FAILED, reason=reason)


def _not_over(part: Attempt, watched: Watched) -> PipelineError:
    return PipelineError(
        "The window was not over at its deadline",
        where=str(part),
        why=f"Job {watched.job.state}{_because(watched)}, open workflows: {', '.join(watched.open_ones) or 'none known'}",
        next_step="they go on; a rerun ends them before it deletes. Use fewer days, or raise follow_deadline_seconds",
        kind=Kind.RETRY,
    )
