"""What `inspect` would find and plan, with its own functions, and nothing touched: no lease, no marker written down."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from backfill_pipeline.domain import cuts
from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.domain.guards import Approval, refusals, window_refusals
from backfill_pipeline.domain.markers import draw_marker
from backfill_pipeline.domain.plans import Attempt, Claim, Plan
from backfill_pipeline.domain.retries import Of
from backfill_pipeline.domain.status import Held
from backfill_pipeline.domain.verdicts import together
from backfill_pipeline.steps.earlier import elsewhere, named, open_of_others
from backfill_pipeline.steps.inspect import cut, drawing, gathered, guard_limits, plan
from backfill_pipeline.steps.records import DayTables
from backfill_pipeline.steps.systems import Systems


@dataclass(frozen=True)
class Before:
    """What the ledger knows of a claim's customer. unended: attempts on its days that a launch would end first."""

    last_marker: datetime | None = None
    tried: tuple[cuts.Tried, ...] = ()
    unended: tuple[Attempt, ...] = ()
    held: tuple[Held, ...] = ()


@dataclass(frozen=True)
class Foreseen:
    """reasons: why a launch would refuse the window now. The rest is None where no system was asked for that reason."""

    reasons: tuple[str, ...]
    attempt: Attempt | None = None
    plan: Plan | None = None
    source: DayTables | None = None
    target: DayTables | None = None


def foresee(
    systems: Systems,
    claim: Claim,
    before: Before,
    *,
    approved: frozenset[Approval] = frozenset(),
    job_days: int | None = None,
    marker: datetime | None = None,
) -> Foreseen:
    """The plan of a launch of this claim now.

    Args:
        marker: None, the one that would be drawn now.

    Raises:
        PipelineError: a system is away, or a table or column is missing.
    """
    limits = guard_limits(systems, approved)
    if hopeless := window_refusals(claim.window, systems.today(), limits):
        return Foreseen((*_of_first_day(systems, claim), *hopeless))
    by = drawing(systems, claim.dataset)
    drawn = marker or draw_marker(before.last_marker, by.server_now, by.skew, by.scale)
    attempt = Attempt(**vars(claim), marker=drawn, fence=0)
    signals = gathered(systems, attempt, by.schemas)
    reasons = (*_of_first_day(systems, claim), *_held(claim, before.held), *_of_earlier(systems, claim, before.unended))
    source, target = together(signals.source or {}), together(signals.target or {})
    sized = cut(systems, attempt, source, before.tried, job_days)
    planned = plan(systems, sized, signals.strays, approved)
    reasons = (*reasons, *refusals(signals, limits), *_of_launch(systems, planned))
    return Foreseen(reasons, sized, planned, source, target)


def _of_first_day(systems: Systems, claim: Claim) -> Iterator[str]:
    first = systems.cluster.first_day
    if claim.window.start < first:
        yield f"{claim.window.start} is before {first}, the cluster's first_day: Dagster has no such partition"


def _held(claim: Claim, held: Sequence[Held]) -> Iterator[str]:
    mine = Of(claim.cluster, claim.customer, claim.dataset)
    for each in (h for h in held if h.of == mine and h.attempt_id != claim.attempt_id):
        if taken := [str(d) for d in each.days if d in claim.window.days]:
            yield f"run {each.run_id} is at work on {', '.join(taken[:10])}"


def _of_launch(systems: Systems, planned: Plan) -> Iterator[str]:
    """That the cluster is away is no reason: it is unknown then whether the Job could be made."""
    try:
        systems.launcher.check(planned.launches[0])
    except PipelineError as error:
        if error.may_pass:
            raise
        yield str(error)


def _of_earlier(systems: Systems, claim: Claim, unended: Sequence[Attempt]) -> Iterator[str]:
    yield from elsewhere(systems, unended).values()
    yield from _foreign(systems, claim, unended)


def _foreign(systems: Systems, claim: Claim, unended: Sequence[Attempt]) -> Iterator[str]:
    """Workflows that no attempt of ours started; a launch refuses them, and ends those that one did."""
    workflow, ours = DATASETS[claim.dataset].workflow, {a.attempt_id for a in unended}
    if workflow is None:
        return
    for found in open_of_others(systems, claim, workflow):
        if found.input.attempt_id not in ours:
            yield f"a workflow of the same customer and range is open and not ours: {named(found)}"
