"""Step 1: may this window be rebuilt, and by which plan? Nothing of the target is touched here."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from backfill_pipeline.domain import cuts
from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.errors import PipelineError, Refused
from backfill_pipeline.domain.guards import Approval, GuardLimits, Signals, refusals, window_refusals
from backfill_pipeline.domain.markers import Future, future_of
from backfill_pipeline.domain.plans import Attempt, Claim, Plan, PlanLimits, plan_window
from backfill_pipeline.domain.schemas import TableSchema
from backfill_pipeline.domain.strays import Stray
from backfill_pipeline.domain.verdicts import together
from backfill_pipeline.steps.earlier import end_earlier_attempts
from backfill_pipeline.steps.holding import holding
from backfill_pipeline.steps.records import DayTables, Inspection
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.stores.schemas import read_schemas
from backfill_pipeline.stores.source import longest_conversation, source_sums
from backfill_pipeline.stores.strays import strays
from backfill_pipeline.stores.target import dead_shards, future_rows, queued_blocks, target_sums


def inspect(
    systems: Systems,
    claim: Claim,
    *,
    launched_by: str,
    approved: frozenset[Approval] = frozenset(),
    job_days: int | None = None,
) -> Inspection:
    """Take the lease, end what earlier attempts left, count both sides, judge, and draw the plan.

    Args:
        job_days: asked for; otherwise what went through before decides. Never more rows than the budget.

    Raises:
        Refused: with every reason; or the lease is another attempt's.
        PipelineError: a system is away (with its address), a table or column is missing, or the Job could not be made.
    """
    started = time.monotonic()
    limits = guard_limits(systems, approved)
    _refuse(claim, window_refusals(claim.window, systems.today(), limits))
    if DATASETS[claim.dataset].workflow:
        systems.temporal.check()
    attempt, schemas = _claimed(systems, claim)
    with holding(systems, attempt, "inspect", launched_by):
        end_earlier_attempts(systems, claim)
        signals = gathered(systems, attempt, schemas)
        _refuse(claim, refusals(signals, limits))
        assert signals.source is not None
        assert signals.target is not None
        attempt = _cut(systems, attempt, together(signals.source), job_days)
        planned = plan(systems, attempt, signals.strays, approved)
        systems.launcher.check(planned.launches[0])
        return Inspection(
            attempt=attempt,
            plan=planned,
            launched_by=launched_by,
            approved=tuple(sorted(approved)),
            source=together(signals.source),
            target=together(signals.target),
            seconds=time.monotonic() - started,
        )


def check_again(systems: Systems, inspection: Inspection) -> None:
    """Judge the window once more: after a wait the counts that allowed its delete are as old as the wait.

    Raises:
        Refused: with every reason; a workflow that was started meanwhile on these days is one.
        PipelineError: a system is away, or a table or column is missing.
    """
    attempt, approved = inspection.attempt, frozenset(map(Approval, inspection.approved))
    end_earlier_attempts(systems, attempt)
    schemas = read_schemas(systems.clickhouse, [t.table for t in DATASETS[attempt.dataset].targets])
    _refuse(attempt, refusals(gathered(systems, attempt, schemas), guard_limits(systems, approved)))


def guard_limits(systems: Systems, approved: frozenset[Approval]) -> GuardLimits:
    limits, clickhouse = systems.limits, systems.clickhouse.address
    return GuardLimits(
        max_window_days=limits.max_window_days,
        max_rows_without_approval=limits.max_rows_without_approval,
        min_source_ratio=limits.min_source_ratio,
        known_views=tuple(clickhouse.known_views),
        retention_days=systems.cluster.retention_days,
        approved=approved,
        is_alter=clickhouse.delete == "alter",
        longest=_longest(systems),
    )


def columns_of(schemas: Sequence[TableSchema]) -> Mapping[str, Mapping[str, str]]:
    """Per table the columns that every shard has."""
    tables = {s.table for s in schemas}
    return {t: _common([s for s in schemas if s.table == t]) for t in tables}


def _common(schemas: Sequence[TableSchema]) -> dict[str, str]:
    return {n: k for n, k in schemas[0].columns.items() if all(n in s.columns for s in schemas)}


def plan(
    systems: Systems,
    attempt: Attempt,
    strays: Mapping[str, Sequence[Stray]],
    approved: frozenset[Approval] = frozenset(),
) -> Plan:
    limits = PlanLimits(
        max_days=systems.limits.max_window_days,
        job_deadline_seconds=systems.limits.job_deadline_seconds,
        longest=_longest(systems),
        future=_future(systems, attempt) if Approval.FUTURE_VERSIONS in approved else None,
    )
    return plan_window(attempt, limits, strays)


def cut(
    systems: Systems, attempt: Attempt, source: DayTables, history: Sequence[cuts.Tried], asked: int | None
) -> Attempt:
    """The attempt with the size of its Jobs.

    Args:
        source: rows per day. history: how earlier sizes went. asked: as in `inspect`.
    """
    rows = {day: sum(s.rows for s in tables.values()) for day, tables in source.items()}
    most = systems.limits.max_job_rows
    return replace(attempt, job_days=cuts.job_days(attempt.window, rows, most_rows=most, history=history, asked=asked))


def _cut(systems: Systems, attempt: Attempt, source: DayTables, asked: int | None) -> Attempt:
    sized = cut(systems, attempt, source, systems.ledger.tried(attempt), asked)
    if len(sized.parts) > 1:
        systems.log(f"the window is cut into {len(sized.parts)} Jobs of up to {sized.job_days} days, in sequence")
    job_days = sized.job_days or len(attempt.window.days)
    return systems.ledger.set_job_days(attempt, job_days, systems.cluster.launcher.place)


def _longest(systems: Systems) -> timedelta:
    return timedelta(hours=systems.limits.longest_conversation_hours)


def _future(systems: Systems, attempt: Attempt) -> Future:
    """As of now: ending earlier attempts, counting and waiting took time, in which live writers went on."""
    skew = timedelta(seconds=systems.limits.clock_skew_seconds)
    return future_of(attempt.marker, skew).at(systems.clickhouse.now())


@dataclass(frozen=True)
class Drawing:
    """What a marker is drawn from, beside the last one. scale: of the coarsest version column."""

    schemas: tuple[TableSchema, ...]
    server_now: datetime
    skew: timedelta
    scale: int


def drawing(systems: Systems, dataset: str) -> Drawing:
    """The tables as ClickHouse has them, and its clock."""
    schemas = read_schemas(systems.clickhouse, [t.table for t in DATASETS[dataset].targets])
    skew = timedelta(seconds=systems.limits.clock_skew_seconds)
    scale = min((s.version_scale for s in schemas if s.version_scale is not None), default=0)
    return Drawing(schemas, systems.clickhouse.now(), skew, scale)


def _claimed(systems: Systems, claim: Claim) -> tuple[Attempt, tuple[TableSchema, ...]]:
    """The lease, and the marker drawn from ClickHouse's clock at the coarsest version column's precision."""
    by = drawing(systems, claim.dataset)
    fence = systems.ledger.take(claim)
    try:
        drawn = systems.ledger.draw(claim, fence, server_now=by.server_now, skew=by.skew, scale=by.scale)
    except PipelineError:
        systems.ledger.release(claim.attempt_id, fence)
        raise
    return drawn, by.schemas


def gathered(systems: Systems, attempt: Attempt, schemas: tuple[TableSchema, ...]) -> Signals:
    dataset, columns = DATASETS[attempt.dataset], columns_of(schemas)
    who = (dataset, attempt.customer, attempt.profiles, attempt.window)
    return Signals(
        dataset=dataset,
        customer=attempt.customer,
        profiles=attempt.profiles,
        window=attempt.window,
        today=systems.today(),
        source=source_sums(systems.postgres, *who, columns, fingerprints=False),
        target=target_sums(systems.clickhouse, *who, columns, fingerprints=False),
        schemas=schemas,
        future_rows=future_rows(systems.clickhouse, *who, above=_future(systems, attempt).above),
        queued_blocks=queued_blocks(systems.clickhouse, dataset),
        dead_shards=dead_shards(systems.clickhouse),
        strays=strays(systems.postgres, systems.clickhouse, *who),
        longest=longest_conversation(systems.postgres, *who),
    )


def _refuse(claim: Claim, reasons: Sequence[str]) -> None:
    if reasons:
        raise Refused(
            f"The window is refused; nothing was touched. {len(reasons)} reason{'s' * (len(reasons) > 1)}",
            where=f"{claim.dataset} of {claim.customer} on {claim.cluster}, {claim.window}",
            why="; ".join(reasons),
            next_step="mend the cause, then rerun; what names a run tag can be asked for by that tag",
        )
