"""The sensor that does failed days again: exactly those, when they are due, in smaller Jobs where that helps.

A tick gathers how runs ended since the last one, folds it into the ledger's table of failed days, and launches what
`domain/retries.py` says is due. What is launched is written nowhere: a day whose run waits or works is busy, and a run key
that was used launches nothing, so a tick that died half way is simply repeated.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from backfill_pipeline.config import Config
from backfill_pipeline.defs import tags
from backfill_pipeline.defs.assets import Built
from backfill_pipeline.defs.ended_runs import at_work, ended_since, outcomes_of
from backfill_pipeline.defs.evaluations import quarantine_evaluation
from backfill_pipeline.defs.partitions import range_tags
from backfill_pipeline.defs.resources import Pipeline
from backfill_pipeline.domain.retries import Days, Of, Policy, Retry, due, fold, given_up
from backfill_pipeline.stores.failed_days import read_failed_days, write_failed_days
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.pauses import read_pauses

NAME = "retry_failed_days"
PER_TICK = 20


@dataclass(frozen=True)
class Tick:
    """What one look found: the failed days as they were and as they are, what changed, what is due now."""

    before: Days
    days: Days
    changed: Days
    due: tuple[Retry, ...]
    seen_until: datetime | None


def retry_sensor(config: Config, built: Built) -> dg.SensorDefinition:
    keys = {of.key: Of(of.cluster, of.customer, of.dataset) for of in built.ids}
    policy = config.limits.retry_policy

    @dg.sensor(
        name=NAME,
        asset_selection=dg.AssetSelection.assets(*keys),
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"pipeline"},
        description=f"Does exactly the failed days again, at most {config.limits.retry_attempts} times, after a growing "
        "delay, in smaller Jobs where the size is what failed. What does not pass by itself is quarantined; a run "
        "cancelled by hand is left alone.",
    )
    def retry_failed_days(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        pipeline: Pipeline = context.resources.pipeline
        started = time.monotonic()
        tick = look(context.instance, pipeline.ledger, keys, policy, _moment(context.cursor), datetime.now(UTC))
        context.log.info(f"{len(tick.days)} days failed once, {len(tick.due)} runs are due")
        context.log.info(f"{len(tick.changed)} changed; {time.monotonic() - started:.1f} s")
        return dg.SensorResult(
            run_requests=[request_of(r) for r in tick.due],
            skip_reason=None if tick.due else f"{len(tick.days)} days failed once, none is due",
            asset_events=list(_quarantine_events(tick, keys, policy)),
            cursor=tick.seen_until.isoformat() if tick.seen_until else None,
        )

    return retry_failed_days


def look(
    instance: dg.DagsterInstance,
    ledger: Ledger,
    keys: Mapping[dg.AssetKey, Of],
    policy: Policy,
    since: datetime | None,
    now: datetime,
) -> Tick:
    """Gather, fold, write down, choose. Repeated, it finds the same."""
    records, until = ended_since(instance, since)
    before = read_failed_days(ledger)
    changed = fold(before, (o for r in records for o in outcomes_of(instance, r, keys)))
    write_failed_days(ledger, changed.values())
    days = {**before, **changed}
    paused = _paused(ledger)
    waiting = (s for (of, _), s in days.items() if of.cluster not in paused)
    chosen = due(waiting, policy, now, busy=at_work(instance, keys), most=PER_TICK)
    return Tick(before, days, changed, chosen, until)


def _paused(ledger: Ledger) -> set[str]:
    return {cluster for cluster, pause in read_pauses(ledger).items() if pause.in_force}


def request_of(retry: Retry) -> dg.RunRequest:
    of = retry.of
    return dg.RunRequest(
        run_key=retry.run_key,
        asset_selection=[dg.AssetKey([of.dataset, of.cluster, of.customer])],
        tags={
            **retry.kept,
            **range_tags(retry.window),
            tags.RETRY: str(retry.number),
            tags.RETRY_OF: retry.failed_run,
            tags.JOB_DAYS: str(retry.job_days),
        },
    )


def _quarantine_events(tick: Tick, keys: Mapping[dg.AssetKey, Of], policy: Policy) -> Iterator[dg.AssetCheckEvaluation]:
    """Of the days that were given up since the last look, and of those that no longer are."""
    assets = {of: key for key, of in keys.items()}
    for at, state in tick.changed.items():
        was = tick.before.get(at)
        reason = given_up(state, policy)
        if reason or (was and given_up(was, policy)):
            yield quarantine_evaluation(assets[at[0]], state.day, state, reason)


def _moment(cursor: str | None) -> datetime | None:
    return datetime.fromisoformat(cursor) if cursor else None
