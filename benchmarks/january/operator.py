"""What somebody who watches sees of one run: its tags, its log, its error. And the way that a customer went."""

from collections.abc import Iterator, Sequence

import dagster as dg

from backfill_pipeline.defs import tags
from backfill_pipeline.defs.ended_runs import days_of
from backfill_pipeline.domain.windows import windows_of
from benchmarks.january.watch import Who, key_of

OF_RUN = (tags.CAUSE, tags.REMEDY, tags.EVIDENCE, tags.JOB_DAYS, tags.RETRY, tags.RETRY_OF)


def runs_of_customer(records: Sequence[dg.RunRecord], who: Who) -> list[dg.RunRecord]:
    return [r for r in records if key_of(who) in (r.dagster_run.asset_selection or set())]


def way(records: Sequence[dg.RunRecord], who: Who) -> list[str]:
    """A line for each of the customer's runs, oldest first."""
    return list(map(_step, runs_of_customer(records, who)))


def _step(record: dg.RunRecord) -> str:
    run = record.dagster_run
    days = ", ".join(map(str, windows_of(days_of(run.tags))))
    seconds = (record.end_time or 0) - (record.start_time or 0)
    cause = f": {run.tags[tags.CAUSE]}, {run.tags.get(tags.REMEDY)}" if tags.CAUSE in run.tags else ""
    jobs = f"Jobs of {run.tags.get(tags.JOB_DAYS, '?')} days"
    return f"retry {run.tags.get(tags.RETRY, '0')}, {days}, {jobs}, {seconds:.0f} s, {run.status.value}{cause}"


def seen(instance: dg.DagsterInstance, record: dg.RunRecord) -> list[str]:
    """The run's page as lines."""
    run = record.dagster_run
    said = [f"tag {name} = {run.tags[name]}" for name in OF_RUN if name in run.tags]
    return [f"run {run.run_id} {run.status.value}", *said, *_log(instance, run.run_id)]


def _log(instance: dg.DagsterInstance, run_id: str) -> Iterator[str]:
    for entry in instance.all_logs(run_id):
        event = entry.dagster_event
        if event is None:
            yield f"log {logging_name(entry.level)} {entry.user_message}"
        elif event.is_step_failure and event.step_failure_data.error:
            yield f"step {entry.step_key} failed: {event.step_failure_data.error.message.strip()}"


def logging_name(level: str | int) -> str:
    return {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR"}.get(int(level), str(level))
