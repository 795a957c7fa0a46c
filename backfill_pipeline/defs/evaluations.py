"""Verdicts as Dagster's check evaluations, per partition.

Without the target materialization, an internal of Dagster, a range run's result counts as stale (dagster-facts, "Checks per
partition"; pinned to dagster 1.13.27).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as Target,
)

from backfill_pipeline.domain.coverage import Coverage
from backfill_pipeline.domain.datasets import Check
from backfill_pipeline.domain.findings import Finding
from backfill_pipeline.domain.retries import DayState, lift_command
from backfill_pipeline.domain.verdicts import DayVerdict, Doubled, Verdict

Targets = Mapping[str, Target]


def parity_evaluation(
    key: dg.AssetKey, day: DayVerdict, uncovered: Mapping[str, int], targets: Targets | None = None
) -> dg.AssetCheckEvaluation:
    source, target = day.source or {}, day.target or {}
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=Check.COUNT_PARITY.value,
        partition=str(day.day),
        passed=day.verdict.is_good,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join([str(day.verdict), *day.reasons, *_uncovered(uncovered)]),
        metadata={
            "verdict": str(day.verdict),
            "source rows": dg.MetadataValue.json({t: s.rows for t, s in source.items()}),
            "target rows": dg.MetadataValue.json({t: s.rows for t, s in target.items()}),
            "uncovered": dg.MetadataValue.json(dict(uncovered)),
        },
        target_materialization_data=(targets or {}).get(str(day.day)),
    )


def _uncovered(classes: Mapping[str, int]) -> list[str]:
    """Rows that no window covers change no day's verdict, and are named with every one."""
    return [f"{Verdict.UNCOVERED}: {count:,} of class '{name}'" for name, count in classes.items()]


def duplicates_evaluation(
    key: dg.AssetKey, day: date, doubled: Iterable[Doubled], targets: Targets | None = None
) -> dg.AssetCheckEvaluation:
    found = [d for d in doubled if d.day == day]
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=Check.DUPLICATES.value,
        partition=str(day),
        passed=not found,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(map(str, found)) or "every id has one row",
        metadata={
            "doubled ids": sum(d.ids for d in found),
            "across shards": sum(d.across_shards for d in found),
            "also on": ", ".join(sorted({str(o) for d in found for o in d.also_on})) or "no other day",
            "sample": dg.MetadataValue.json([s for d in found for s in d.sample]),
        },
        target_materialization_data=(targets or {}).get(str(day)),
    )


def coverage_evaluation(
    key: dg.AssetKey, day: date, coverage: Coverage, targets: Targets | None = None
) -> dg.AssetCheckEvaluation:
    """Fails where scorecards of the day, or without a day, are of no configured dataset: never silence."""
    missing = coverage.unhandled(day)
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=Check.TEMPLATE_COVERAGE.value,
        partition=str(day),
        passed=not missing,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join([Verdict.UNCOVERED, *map(str, missing)] if missing else ["every template is handled"]),
        metadata={
            "scorecards by dataset": dg.MetadataValue.json(coverage.accounting(day)),
            "templates that nothing handles": dg.MetadataValue.json([str(g) for g in missing]),
        },
        target_materialization_data=(targets or {}).get(str(day)),
    )


def findings_evaluation(
    key: dg.AssetKey, check: Check, day: date, findings: Sequence[Finding], targets: Targets | None = None
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=check.value,
        partition=str(day),
        passed=not findings,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(map(str, findings)) or "nothing was found",
        metadata={
            "found": sum(f.rows for f in findings),
            "sample": dg.MetadataValue.json([s for f in findings for s in f.sample]),
        },
        target_materialization_data=(targets or {}).get(str(day)),
    )


def quarantine_evaluation(
    key: dg.AssetKey, day: date, state: DayState | None, reason: str | None, targets: Targets | None = None
) -> dg.AssetCheckEvaluation:
    """reason: why the day is given up; None, it is not."""
    of = "/".join(key.path)
    said = f"{reason}. Mend it, then materialize the day here, or: {lift_command([state])}" if state and reason else ""
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=Check.QUARANTINE.value,
        partition=str(day),
        passed=not reason,
        severity=dg.AssetCheckSeverity.ERROR,
        description=said or f"{of} of this day is not given up",
        metadata={"run": state.last.run_id, "seen": state.last.evidence, "cause": str(state.last.cause)}
        if state
        else {},
        target_materialization_data=(targets or {}).get(str(day)),
    )


def newest_materializations(instance: dg.DagsterInstance, key: dg.AssetKey, days: Iterable[str]) -> Targets:
    """Per day its newest materialization, as the target of an evaluation; days without one are left out."""
    wanted = list(days)
    events = instance.event_log_storage.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION, partitions=set(wanted)
    )
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=key, storage_ids=list(events.values())), limit=len(wanted) or 1
    ).records
    return {
        str(r.partition_key): Target(storage_id=r.storage_id, run_id=r.run_id, timestamp=r.timestamp) for r in records
    }


def counted_materializations(instance: dg.DagsterInstance, key: dg.AssetKey, days: Iterable[str]) -> Targets:
    """What Dagster holds evaluations against: one that was reported of no day counts as every day's, while it is the last.

    Such a one proves no day done, so what judges by the time of a day's materialization asks `newest_materializations`.
    """
    wanted = list(days)
    own, last = newest_materializations(instance, key, wanted), _last_of_no_day(instance, key)
    if last is None:
        return own
    return {day: max(own.get(day, last), last, key=lambda t: t.storage_id) for day in wanted}


def _last_of_no_day(instance: dg.DagsterInstance, key: dg.AssetKey) -> Target | None:
    found = (r.asset_entry.last_materialization_record for r in instance.get_asset_records([key]))
    last = next(found, None)
    if last is None or last.partition_key is not None:
        return None
    return Target(storage_id=last.storage_id, run_id=last.run_id, timestamp=last.timestamp)
