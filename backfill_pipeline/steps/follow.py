"""Step 4: follow the Job and its executions until all have closed; progress goes to the run's log.

A dropped connection is no failure. How they ended is written down, not judged: the verdict comes from counting.
"""

import time
from collections.abc import Mapping

from backfill_pipeline.clients.launcher import JobState, JobStatus, tail
from backfill_pipeline.clients.temporal import WorkflowState
from backfill_pipeline.domain.causes import Remedy
from backfill_pipeline.domain.contracts import Progress, labelled_from_line
from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.failures import diagnose
from backfill_pipeline.domain.masking import mask
from backfill_pipeline.domain.plans import Attempt, Launch
from backfill_pipeline.steps.cancelled import CANCEL_SECONDS, ended_on_cancel
from backfill_pipeline.steps.executions import job_log, learn_from_log, learn_from_temporal
from backfill_pipeline.steps.holding import holding
from backfill_pipeline.steps.launch import make_job
from backfill_pipeline.steps.progress import ProgressLog
from backfill_pipeline.steps.records import ExecutionEnd, Followed, Inspection, Launched, PartEnd
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.steps.watched import STUCK_SECONDS, Patience, Watched, look_at_executions, mark_ended


def follow(systems: Systems, inspection: Inspection, launched: Launched) -> Followed:
    """Poll until the Job and every execution are over; then the same for the window's next part, which is launched here.

    Raises:
        PipelineError: RETRY, not over at the deadline; what goes on is named.
    """
    started, attempt = time.monotonic(), inspection.attempt
    end = systems.clock() + systems.limits.follow_deadline_seconds
    seen, parts = [Watched(attempt.parts[0], launched.job_name, is_made=True)], list[PartEnd]()
    with ended_on_cancel(systems, seen), holding(systems, attempt, "follow", inspection.launched_by):
        for part, planned in zip(attempt.parts, inspection.plan.launches, strict=True):
            if parts and not _may_go_on(systems, parts[-1], part):
                break
            if parts:
                seen.append(Watched(part, planned.job_name))
                launched = _next_launched(systems, attempt, planned, seen[-1], end)
            parts.append(_followed(systems, seen[-1], launched, end))
        mark_ended(systems, seen)
    return Followed(tuple(parts), time.monotonic() - started)


def _may_go_on(systems: Systems, last: PartEnd, part: Attempt) -> bool:
    """A part that failed by chance says nothing about the next one's days; one that was too large says it of its like."""
    why = diagnose(last.problems) if last.problems else None
    too_large = why is not None and why.remedy is Remedy.SMALLER and len(last.window.days) > 1
    if why and (too_large or why.remedy in (Remedy.WAIT, Remedy.BY_HAND)):
        systems.log(f"{part.window} and later days are not started: {why}")
        return False
    return True


def _next_launched(systems: Systems, attempt: Attempt, planned: Launch, watched: Watched, end: float) -> Launched:
    """The first one's Job is the step before's. A cluster that is away half way through a window is asked again.

    Raises:
        PipelineError: the lease was lost meanwhile: beside whoever has it now this Job would write.
    """
    while True:
        systems.ledger.check_held(attempt)
        try:
            launched = make_job(systems, planned)
            watched.is_made = True
            return launched
        except PipelineError as error:
            if not error.may_pass or systems.clock() > end:
                raise
            systems.log(f"asking again: {error}")
            systems.sleep(systems.limits.poll_seconds)


def _followed(systems: Systems, watched: Watched, launched: Launched, end: float) -> PartEnd:
    _until_over(systems, watched, end)
    problems = _problems(systems, watched)
    return PartEnd(watched.part.window, watched.job_name, launched.log, _ends(watched), problems)


def _until_over(systems: Systems, watched: Watched, end: float) -> None:
    progress = ProgressLog(systems.log, systems.clock, DATASETS[watched.part.dataset].unit)
    patience = Patience()
    while not (is_seen := _looked(systems, watched)) or not watched.is_over:
        progress.tell(watched.progress)
        # A look that failed says nothing: what the one before it found may have mended itself long since.
        if is_seen and patience.is_over(watched.job, systems.clock()):
            _give_up(systems, watched)
            return
        if systems.clock() > end:
            raise _not_over(watched)
        systems.sleep(systems.limits.poll_seconds)
    progress.tell(watched.progress, is_last=True)


def _looked(systems: Systems, watched: Watched) -> bool:
    """One look at everything; False where Temporal or Kubernetes is away, which means: ask again."""
    try:
        _look(systems, watched)
        _tell_unread(systems, watched)
    except PipelineError as error:
        if not error.may_pass:
            raise
        systems.log(f"asking again: {error}")
        return False
    return True


def _look(systems: Systems, watched: Watched) -> None:
    watched.job = systems.launcher.status(watched.job_name)
    if not watched.job.state.is_over:
        _tell_wait(systems, watched)
    if watched.job.state is JobState.PENDING:
        systems.launcher.resume(watched.job_name)
    workflow = DATASETS[watched.part.dataset].workflow
    if workflow is None:
        watched.told.update(_told(systems, watched))
        return
    learn_from_log(systems, watched)
    if watched.job.state.is_over and watched.missing:
        learn_from_temporal(systems, watched, workflow)
    look_at_executions(systems, watched)


def _tell_wait(systems: Systems, watched: Watched) -> None:
    """The window is emptied, and a pod may find no room for hours: whoever reads the run's log must see for what it waits."""
    waits_for = watched.job.reason if watched.job.state is JobState.PENDING else ""
    if waits_for and waits_for != watched.waited_for:
        systems.log(f"Job {watched.job_name} has not begun: {waits_for}")
    watched.waited_for = waits_for


def _tell_unread(systems: Systems, watched: Watched) -> None:
    """No end of the window: Temporal knows its workflows, and the verdict comes from counting."""
    error = systems.launcher.log_error(watched.job_name) if systems.reads_logs else None
    if error and str(error) != watched.unread:
        watched.unread = str(error)
        systems.log(f"going on without the log of Job {watched.job_name}: {error}")


def _told(systems: Systems, watched: Watched) -> Mapping[str, Progress]:
    found = [f for f in map(labelled_from_line, job_log(systems, watched.job_name)) if f]
    return {f.profile: Progress(f.done, 0, f.total) for f in found if f.customer == watched.part.customer}


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
        ends.append(ExecutionEnd(workflow_id, profile, status.state, done, mask(status.failure)))
    return tuple(ends)


def _problems(systems: Systems, watched: Watched) -> tuple[str, ...]:
    problems = []
    if watched.job.state is not JobState.SUCCEEDED:
        job = f"Job {watched.job_name} {watched.job.state}{_because(watched)}"
        problems.append(f"{job}; {_last_lines(systems, watched)}")
    for status in watched.statuses.values():
        if status.state is not WorkflowState.COMPLETED:
            problems.append(status.problem)
    problems += [
        f"no execution was started for profile {p}, as far as the Job's log and Temporal tell" for p in watched.missing
    ]
    return tuple(map(mask, problems))


def _last_lines(systems: Systems, watched: Watched) -> str:
    if not systems.reads_logs:
        return "its log was not read"
    try:
        lines = tail(list(job_log(systems, watched.job_name)))
    except PipelineError as error:  # all is over: what is left to do needs no log
        systems.log(f"going on without the last lines of Job {watched.job_name}: {error}")
        return "its log could not be read"
    return f"its log ends: {lines}" + (f"; more was not read: {watched.unread}" if watched.unread else "")


def _give_up(systems: Systems, watched: Watched) -> None:
    """Ended before it is told: once mended it would begin, with nobody there to follow it."""
    try:
        systems.launcher.cancel(watched.job_name, deadline_seconds=CANCEL_SECONDS)
        left = "it was ended"
    except PipelineError as error:
        watched.is_ended = False
        left = f"it may go on until the next run ends it: {error}"
    reason = f"it can't start: {watched.job.reason}, for {STUCK_SECONDS} s; {left}"
    watched.job = JobStatus(JobState.FAILED, reason=reason)


def _not_over(watched: Watched) -> PipelineError:
    return PipelineError(
        "The window was not over at its deadline",
        where=str(watched.part),
        why=f"Job {watched.job.state}{_because(watched)}, open workflows: {', '.join(watched.open_ones) or 'none known'}",
        next_step="they go on; a rerun ends them before it deletes. Use fewer days, or raise follow_deadline_seconds",
        kind=Kind.RETRY,
    )
