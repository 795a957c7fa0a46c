"""A day's materialization: what was deleted, launched, counted; and the events of a window that failed in part."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import dagster as dg

from backfill_pipeline.config import Cluster
from backfill_pipeline.defs import tags
from backfill_pipeline.defs.ended_runs import done_tag
from backfill_pipeline.defs.evaluations import coverage_evaluation, duplicates_evaluation, parity_evaluation
from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.verdicts import DaySums, DayVerdict
from backfill_pipeline.domain.windows import rfc3339, windows_of
from backfill_pipeline.steps.records import Deletion, ExecutionEnd, Followed, Inspection, Launched, Recorded

Steps = tuple[Inspection, Deletion, Launched, Followed]
NAMED = 5  # bad days whose differences stand in the error; each has its own on its page


def publish(
    context: dg.OpExecutionContext, key: dg.AssetKey, steps: Steps, recorded: Recorded, cluster: Cluster
) -> None:
    """Every day with its own metadata; with bad days the good ones are logged and the run fails with each reason.

    Raises:
        dagster.Failure: naming each bad day and why.
    """
    metadata = {d.day: day_metadata(d, steps, recorded, cluster) for d in recorded.verification.days}
    if not recorded.verification.bad:
        _attach(context, key, metadata)
        return
    for day in recorded.verification.days:
        if day.verdict.is_good:
            context.log_event(dg.AssetMaterialization(key, partition=str(day.day), metadata=metadata[day.day]))
        # The check steps do not run after a failed op: without these events the days would have no verdict.
        evaluations = (
            parity_evaluation(key, day, recorded.verification.coverage.uncovered(day.day)),
            duplicates_evaluation(key, day.day, recorded.doubled),
            coverage_evaluation(key, day.day, recorded.verification.coverage),
        )
        wanted = DATASETS[steps[0].attempt.dataset].checks
        for evaluation in (e for e in evaluations if e.check_name in wanted):
            context.log_event(evaluation)  # type: ignore[arg-type]  # works, though its signature does not say so
    good = [d.day for d in recorded.verification.days if d.verdict.is_good]
    said = {tags.SAID_BY: context.run_id, tags.DONE: done_tag(good)}
    context.instance.add_run_tags(context.run_id, said)  # after their events: see `_done`
    raise dg.Failure(_failure(recorded, steps[3]), allow_retries=False)


def _attach(context: dg.OpExecutionContext, key: dg.AssetKey, metadata: Mapping[date, Mapping[str, Any]]) -> None:
    """One event per day, made by the framework from the op's output, each with its own metadata."""
    asset_context = dg.AssetExecutionContext(context)
    for day, values in metadata.items():
        asset_context.add_asset_metadata(values, asset_key=key, partition_key=str(day))


def day_metadata(day: DayVerdict, steps: Steps, recorded: Recorded, cluster: Cluster) -> dict[str, Any]:
    inspection, deletion, launched, followed = steps
    attempt = inspection.attempt
    before = inspection.source.get(day.day), inspection.target.get(day.day)
    part = followed.part_of(day.day)
    return {
        "verdict": str(day.verdict),
        "dagster/row_count": sum(s.rows for s in (day.target or {}).values()),
        "rows": dg.MetadataValue.md(rows_table(before[0], before[1], day.source, day.target)),
        "rows deleted in the window": deletion.rows,
        "mutations": dg.MetadataValue.json([vars(d) for d in deletion.deleted]),
        "inactive replicas": ", ".join(sorted({r for d in deletion.deleted for r in d.inactive_replicas})) or "none",
        "job": part.job_name if part else "none was started: an earlier one of the window had failed",
        "job log": dg.MetadataValue.path(part.log if part else launched.log),
        "job's days": str(part.window) if part else "none",
        "workflows": dg.MetadataValue.md(_workflows(part.executions if part else (), cluster)),
        "source fingerprint": dg.MetadataValue.json({t: f"{s.fingerprint:x}" for t, s in (day.source or {}).items()}),
        "scorecards by dataset": dg.MetadataValue.json(recorded.verification.coverage.accounting(day.day)),
        "uncovered": dg.MetadataValue.json(recorded.verification.coverage.uncovered(day.day)),
        "window": str(attempt.window),
        "attempt": attempt.attempt_id,
        "marker": rfc3339(attempt.marker),
        "launched by": inspection.launched_by,
        "approved": ", ".join(inspection.approved) or "nothing",
        "audit hash": recorded.audit_hash,
        "seconds": dg.MetadataValue.json(_seconds(steps, recorded)),
    }


def _seconds(steps: Steps, recorded: Recorded) -> dict[str, float]:
    names = ("inspect", "delete", "launch", "follow", "record")
    seconds = (*(s.seconds for s in steps), recorded.seconds)
    return {"waited": round(steps[1].waited, 3), **{n: round(s, 3) for n, s in zip(names, seconds, strict=True)}}


def _workflows(executions: Iterable[ExecutionEnd], cluster: Cluster) -> str:
    temporal = cluster.temporal
    lines = []
    for end in executions:
        base = f"{temporal.ui}/namespaces/{temporal.namespace}/workflows/" if temporal and temporal.ui else None
        name = f"[{end.workflow_id}]({base}{end.workflow_id})" if base else f"`{end.workflow_id}`"
        lines.append(f"- {name}: {end.state}")
    return "\n".join(lines) or "none"


def rows_table(
    source_before: DaySums | None, target_before: DaySums | None, source: DaySums | None, target: DaySums | None
) -> str:
    """Rows per table before and after as a markdown table; unknown is `-`, never 0."""
    sides = (source_before, target_before, source, target)
    tables = sorted({t for side in sides if side for t in side})
    head = "| table | source before | target before | source after | target after |\n|---|--:|--:|--:|--:|"
    return "\n".join([head, *(f"| {t} | " + " | ".join(_cell(s, t) for s in sides) + " |" for t in tables)])


def _cell(side: DaySums | None, table: str) -> str:
    return f"{side[table].rows:,}" if side and table in side else "-"


def _failure(recorded: Recorded, followed: Followed) -> str:
    """What ran comes first: the differences of a month, which often are all alike, would bury it."""
    bad = recorded.verification.bad
    days = [f"{d.day} {d.verdict}: {', '.join(d.reasons)}" for d in bad[:NAMED]]
    more = f"; and {', '.join(map(str, windows_of(d.day for d in bad[NAMED:])))}" if bad[NAMED:] else ""
    cause = "; ".join(followed.problems) or "the Job and its workflows ended well"
    return f"{len(bad)} days are not right. What ran: {cause}. {'; '.join(days)}{more}. Next: rerun the failed days"
