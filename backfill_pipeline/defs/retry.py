"""Failed days are retried by themselves: exactly those, after a growing delay, a bounded number of times.

The simplest honest form: it looks at every run of the last days in one query and keeps no state of its own. For each
asset and day only the newest run counts, so a rerun by hand, by a backfill or by this sensor replaces what came before.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from backfill_pipeline.config import Config, Limits
from backfill_pipeline.defs.assets import Built
from backfill_pipeline.defs.ops import BY_HAND_TAG, LAUNCHED_BY_TAG
from backfill_pipeline.defs.partitions import RANGE_END, RANGE_START, range_tags
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.guards import APPROVED_TAG
from backfill_pipeline.domain.windows import from_inclusive_days, parse_day, windows_of

RETRY_TAG = "backfill/retry"
RETRY_OF_TAG = "backfill/retry_of"
LEFT_TAG = "backfill/left"
LOOK_BACK = timedelta(days=7)
MAX_RUNS = 5000
PER_TICK = 20


@dataclass(frozen=True)
class Failed:
    """Days of one asset that one failed run left undone. retry: how many automatic retries led to that run."""

    key: dg.AssetKey
    run_id: str
    days: tuple[date, ...]
    retry: int
    ended: float
    kept_tags: tuple[tuple[str, str], ...] = ()  # who asked for it, and what a person approved


def retry_sensor(config: Config, built: Built) -> dg.SensorDefinition:
    keys = {of.key for of in built.ids}

    @dg.sensor(
        name="retry_failed_days",
        asset_selection=dg.AssetSelection.assets(*keys),
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Retries exactly the failed days, at most {config.limits.retry_attempts} times, with a growing "
        "delay; a run cancelled by hand is left alone, and so is one that lacked a table or column.",
    )
    def retry_failed_days(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        failed = list(_failed(context.instance, keys))
        due = [f for f in failed if _is_due(f, config.limits, time.time())]
        _tag_left(context, [f for f in failed if f.retry >= config.limits.retry_attempts])
        requests = [r for f in due[:PER_TICK] for r in _requests(f)]
        skip = None if requests else f"{len(failed)} failed runs are known, none is due"
        return dg.SensorResult(run_requests=requests, skip_reason=skip)

    return retry_failed_days


def _failed(instance: dg.DagsterInstance, keys: set[dg.AssetKey]) -> Iterator[Failed]:
    since = datetime.now(UTC) - LOOK_BACK
    records = instance.get_run_records(dg.RunsFilter(created_after=since), limit=MAX_RUNS)
    for (run_id, key), days in _newest(records, keys).items():
        record = next(r for r in records if r.dagster_run.run_id == run_id)
        if record.dagster_run.status is dg.DagsterRunStatus.FAILURE and not _is_passed_over(record):
            undone = tuple(d for d in days if str(d) not in _done(instance, key, run_id, days))
            if undone:
                yield Failed(key, run_id, undone, _retry_of(record), record.end_time or 0.0, _kept(record))


def _newest(records: Sequence[dg.RunRecord], keys: set[dg.AssetKey]) -> Mapping[tuple[str, dg.AssetKey], list[date]]:
    """Which run is the newest on which days of which asset; records come newest first."""
    taken: set[tuple[dg.AssetKey, date]] = set()
    newest: dict[tuple[str, dg.AssetKey], list[date]] = {}
    for record in records:
        for key in (record.dagster_run.asset_selection or set()) & keys:
            days = [d for d in _days(record) if (key, d) not in taken]
            taken |= {(key, d) for d in days}
            if days:
                newest[(record.dagster_run.run_id, key)] = days
    return newest


def _days(record: dg.RunRecord) -> Iterable[date]:
    """The run's days; none for one whose tags name no range, as anybody may launch: it must not stop all others' retries."""
    tags = record.dagster_run.tags
    first = tags.get(RANGE_START) or tags.get("dagster/partition")
    last = tags.get(RANGE_END) or first
    try:
        return from_inclusive_days(parse_day(first), parse_day(last)).days if first and last else ()
    except Refused:
        return ()


def _done(instance: dg.DagsterInstance, key: dg.AssetKey, run_id: str, days: Sequence[date]) -> set[str]:
    """Days that the run itself materialized: a failure in part leaves the others."""
    filter_ = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[str(d) for d in days])
    records = instance.fetch_materializations(filter_, limit=5 * len(days)).records
    return {str(r.partition_key) for r in records if r.run_id == run_id}


def _is_passed_over(record: dg.RunRecord) -> bool:
    """Dagster itself goes on with the run, or a person must first mend what it lacked."""
    tags = record.dagster_run.tags
    return tags.get("dagster/will_retry") == "true" or BY_HAND_TAG in tags


def _retry_of(record: dg.RunRecord) -> int:
    return int(record.dagster_run.tags.get(RETRY_TAG, "0"))


def _kept(record: dg.RunRecord) -> tuple[tuple[str, str], ...]:
    tags = record.dagster_run.tags
    return tuple((t, v) for t, v in tags.items() if t == LAUNCHED_BY_TAG or t.startswith(APPROVED_TAG))


def _is_due(failed: Failed, limits: Limits, now: float) -> bool:
    delay = limits.retry_delay_seconds * 2**failed.retry
    return failed.retry < limits.retry_attempts and now >= failed.ended + delay


def _requests(failed: Failed) -> Iterator[dg.RunRequest]:
    """The run key holds the attempt: a deterministic one is remembered for ever and drops the next retry (trap S1)."""
    for window in windows_of(failed.days):
        yield dg.RunRequest(
            run_key=f"{failed.key.to_user_string()}:{window}:{failed.run_id}:{failed.retry + 1}",
            asset_selection=[failed.key],
            tags={
                **dict(failed.kept_tags),
                **range_tags(window),
                RETRY_TAG: str(failed.retry + 1),
                RETRY_OF_TAG: failed.run_id,
            },
        )


def _tag_left(context: dg.SensorEvaluationContext, left: Sequence[Failed]) -> None:
    for failed in left:
        run = context.instance.get_run_by_id(failed.run_id)
        if run and LEFT_TAG not in run.tags:
            context.instance.add_run_tags(failed.run_id, {LEFT_TAG: f"after-{failed.retry}-retries"})
            days = ", ".join(map(str, failed.days))
            context.log.error(f"{failed.key.to_user_string()}: left after {failed.retry} retries: {days}")
