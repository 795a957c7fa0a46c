"""Cancelling a run ends the Job and the workflows that it started, or says what goes on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.steps.executions import VISIBLE_SECONDS, learn_from_log, learn_from_temporal
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.steps.watched import Watched, look_at_executions, mark_ended

CANCEL_SECONDS = 15


@contextmanager
def ended_on_cancel(systems: Systems, seen: Sequence[Watched]) -> Iterator[None]:
    """Around everything between the call that makes a Job and the Job's end: in a gap it would go on, told by nobody.

    After an error it is not ended, and that is said.

    The window stays emptied.

    Args:
        seen: every part that was begun; the last one may be at work.
    """
    try:
        yield
    except Exception:
        if seen[-1].is_made and not seen[-1].is_over:
            systems.log(
                f"Job {seen[-1].job_name} or its workflows may go on until the next run on these days ends them"
            )
        raise
    except BaseException:
        _end(systems, seen)
        raise


def _end(systems: Systems, seen: Sequence[Watched]) -> None:
    last = seen[-1]
    systems.log(f"cancelled: ending {last.job_name} and its workflows; the window stays emptied")
    try:
        _end_all(systems, last)
        mark_ended(systems, seen)
    except PipelineError as error:
        systems.log(
            f"cancelled, but Job {last.job_name} or its workflows may go on until the next run ends them: {error}"
        )


def _end_all(systems: Systems, watched: Watched) -> None:
    try:
        systems.launcher.cancel(watched.job_name, deadline_seconds=CANCEL_SECONDS)
    finally:  # workflows are ended though the Job's cluster is away, and those that are known though others are not
        try:
            _learn_executions(systems, watched)
        finally:
            _close_executions(systems, watched)
    _refuse_unknown(watched)


def _learn_executions(systems: Systems, watched: Watched) -> None:
    """The Job may have started some since the last look, and none is known where its log is not read."""
    if workflow := DATASETS[watched.part.dataset].workflow:
        with suppress(PipelineError):  # a log that can't be read: Temporal knows them too
            learn_from_log(systems, watched)
        if watched.missing:
            learn_from_temporal(systems, watched, workflow)


def _close_executions(systems: Systems, watched: Watched) -> None:
    for workflow_id in watched.profiles:
        systems.temporal.cancel(workflow_id)
    end = systems.clock() + CANCEL_SECONDS
    look_at_executions(systems, watched)
    while watched.open_ones:
        if systems.clock() > end:
            raise _open_after_cancel(watched)
        systems.sleep(0.2)
        look_at_executions(systems, watched)


def _refuse_unknown(watched: Watched) -> None:
    """Never made, never started, or not to be seen: unknown is not ended."""
    if not watched.is_made:
        raise _unknown(watched, "the Job was made", "the run was interrupted before the answer came")
    if watched.missing:
        names = ", ".join(watched.missing)
        why = f"neither its log nor Temporal within {VISIBLE_SECONDS} s names one for profile {names}"
        raise _unknown(watched, "the cancelled Job started all of its workflows", why)


def _unknown(watched: Watched, what: str, why: str) -> PipelineError:
    return PipelineError(
        f"Whether {what} is not known",
        where=f"Job {watched.job_name} of {watched.part}",
        why=why,
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
