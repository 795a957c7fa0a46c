"""While a step works its lease is kept; when it fails, the audit says so and the lease is given back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from backfill_pipeline.domain.errors import PipelineError, Refused
from backfill_pipeline.domain.failures import diagnose_error
from backfill_pipeline.domain.plans import Attempt
from backfill_pipeline.steps.systems import Systems

NOTHING_STARTED = ("inspect", "delete")  # when these fail, no Job of the attempt can be at work


@contextmanager
def holding(systems: Systems, attempt: Attempt, step: str, launched_by: str) -> Iterator[None]:
    """Keep the attempt's lease for as long as the block runs.

    A failure or a cancel becomes the attempt's row in the audit and frees its days, so that a rerun need not wait.
    """
    try:
        with systems.ledger.kept(attempt):
            yield
    except BaseException as error:
        _give_up(systems, attempt, step, launched_by, error)
        raise


def _give_up(systems: Systems, attempt: Attempt, step: str, launched_by: str, error: BaseException) -> None:
    outcome = "refused" if isinstance(error, Refused) else "failed" if isinstance(error, Exception) else "cancelled"
    try:
        systems.ledger.audit(attempt, outcome, launched_by, _proof(attempt, step, error))
    except Exception as unwritten:
        with suppress(Exception):  # the first error is the one to report, and its days are to be free all the same
            systems.log(f"the audit has no row of {attempt}: {unwritten}")
    if step in NOTHING_STARTED:
        with suppress(PipelineError):
            systems.ledger.mark_ended(attempt)
    with suppress(PipelineError):  # the lease ends by itself
        systems.ledger.release(attempt.attempt_id, attempt.fence)


def _proof(attempt: Attempt, step: str, error: BaseException) -> Mapping[str, Any]:
    proof = {"step": step, "error": str(error) or type(error).__name__, "job_days": attempt.job_days}
    if not isinstance(error, PipelineError):
        return proof
    why = diagnose_error(error)
    return {**proof, "cause": why.cause, "remedy": why.remedy}
