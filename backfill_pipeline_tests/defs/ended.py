"""Runs that ended so or so, in a Dagster instance of their own, and what the retry sensor makes of them."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from logging import Logger, getLogger
from typing import Any
from uuid import uuid4

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import StepMaterializationData
from dagster._core.test_utils import create_run_for_test, freeze_time

from backfill_pipeline.config import Limits
from backfill_pipeline.defs import tags
from backfill_pipeline.defs.memory import Memory
from backfill_pipeline.defs.partitions import range_tags
from backfill_pipeline.defs.quarantine import evaluations
from backfill_pipeline.defs.retry import Looker, Tick, show_quarantine, told
from backfill_pipeline.defs.telling import tell_cause
from backfill_pipeline.domain.causes import Cause, Remedy
from backfill_pipeline.domain.datasets import Check
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.failures import diagnose_error
from backfill_pipeline.domain.retries import Of
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.ledger import Ledger

Status = dg.DagsterRunStatus
LOG: Logger = getLogger("test")
WINDOW = Window(date(2026, 1, 1), date(2026, 1, 4))
PARTITIONS = dg.DailyPartitionsDefinition("2026-01-01")
POLICY = Limits(retry_attempts=2, retry_delay_seconds=60).retry_policy
BY_HAND = {tags.CAUSE: str(Cause.MISSING), tags.REMEDY: str(Remedy.BY_HAND), tags.EVIDENCE: "no such column"}


class Site:
    """A Dagster instance of its own, the ledger of the stack, and a cluster that no other test knows."""

    def __init__(self, instance: dg.DagsterInstance, ledger: Ledger) -> None:
        self.instance, self.ledger, self.cluster = instance, ledger, f"c{uuid4().hex[:8]}"
        self.acme = Of(self.cluster, "acme", "conversations")
        self.east = Of(self.cluster, "acme-east", "conversations")
        self.memory = Memory()
        self.looker = Looker(instance, ledger, {self.key(of): of for of in (self.acme, self.east)}, POLICY)

    def key(self, of: Of) -> dg.AssetKey:
        return dg.AssetKey([of.dataset, of.cluster, of.customer])

    def began(
        self, window: Window = WINDOW, of: Of | None = None, steps: list[str] | None = None, **given: str
    ) -> dg.DagsterRun:
        """A run at work, that will have told of itself what is given. steps: those that somebody selected."""
        run_id = str(uuid4())
        return create_run_for_test(
            self.instance,
            run_id=run_id,
            asset_selection=frozenset({self.key(of or self.acme)}),
            status=Status.STARTED,
            step_keys_to_execute=steps,
            tags={**range_tags(window), tags.SAID_BY: run_id, **given},
        )

    def ran(self, status: Status, *args: Any, **given: Any) -> str:
        """One that ended so, now; its id. Else as `began`."""
        return self.over(self.began(*args, **given), status)

    def over(self, run: dg.DagsterRun, status: Status) -> str:
        if status is Status.FAILURE:
            self.instance.report_run_failed(run)
        elif status is Status.SUCCESS:
            self._report(dg.DagsterEventType.RUN_SUCCESS, run.run_id)
        elif status is Status.CANCELED:
            self.instance.report_run_canceled(run)
        return str(run.run_id)

    def _report(self, kind: dg.DagsterEventType, run_id: str, data: Any = None) -> None:
        self.instance.report_dagster_event(dg.DagsterEvent(kind.value, "job", event_specific_data=data), run_id)

    def planned(self, run_id: str) -> None:
        """As Dagster does when it makes a run that has the check: of `WINDOW`, nothing is known yet."""
        days = PARTITIONS.subset_with_partition_keys(map(str, WINDOW.days)).to_serializable_subset()
        plan = AssetCheckEvaluationPlanned(
            asset_key=self.key(self.acme), check_name=Check.QUARANTINE.value, partitions_subset=days
        )
        self._report(dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, run_id, plan)

    def materialized(self, run_id: str) -> None:
        for each in WINDOW.days:
            made = dg.AssetMaterialization(self.key(self.acme), partition=str(each))
            self._report(dg.DagsterEventType.ASSET_MATERIALIZATION, run_id, StepMaterializationData(made))

    def evaluated_itself(self, run_id: str) -> None:
        """The run's own quarantine check said that no day of `WINDOW` is given up."""
        for each in WINDOW.days:
            key, check = self.key(self.acme), Check.QUARANTINE.value
            said = dg.AssetCheckEvaluation(key, check, passed=True, partition=str(each))
            self._report(dg.DagsterEventType.ASSET_CHECK_EVALUATION, run_id, said)

    def tick(self, *, later: timedelta = timedelta(hours=9)) -> Tick:
        found = self.looker.look(self.memory, datetime.now(UTC) + later)
        self.memory = Memory.of(found.memory.cursor())
        ours = {at: s for at, s in found.days.items() if at[0].cluster == self.cluster}
        return replace(found, days=ours, due=tuple(r for r in found.due if r.of.cluster == self.cluster))

    def ran_ago(self, ago: timedelta, status: Status, *args: Any, **given: Any) -> str:
        with freeze_time(datetime.now(UTC) - ago):
            return self.ran(status, *args, **given)

    def shown(self) -> Tick:
        """After a look and what the sensor shows of it."""
        return show_quarantine(self.tick(), self.looker, LOG)

    def evaluations(self, tick: Tick) -> list[dg.AssetCheckEvaluation]:
        """What the sensor shows of such a look, on one asset."""
        return [e for _, _, e in evaluations(self.instance, self.key(self.acme), tick.quarantine)]

    def red(self) -> list[str]:
        """Days that Dagster's pages show as given up: by what they read, as they read it."""
        check = dg.AssetCheckKey(self.key(self.acme), Check.QUARANTINE.value)
        rows = self.instance.event_log_storage.get_asset_check_partition_info([check])
        return sorted(
            str(r.partition_key) for r in rows if r.latest_execution_status.value == "FAILED" and r.is_current
        )

    def told(self) -> Memory:
        """After a whole tick, as far as nothing is sent; whether its cursor is kept is the caller's to say."""
        return told(self.shown(), self.looker, LOG)


def windows(tick: Tick) -> list[str]:
    return [str(r.window) for r in tick.due]


def day(n: int) -> Window:
    """A window of a day, the n-th of January from 0 on."""
    return Window(date(2026, 1, 1) + timedelta(n), date(2026, 1, 2) + timedelta(n))


def failing(kind: Kind) -> dict[str, str]:
    """The tags that a run has whose step failed so, written by the step itself."""

    @dg.op
    def step(context: dg.OpExecutionContext) -> None:
        error = PipelineError("no such column", where="-", why="-", next_step="-", kind=kind)
        tell_cause(context, diagnose_error(error))
        raise error

    @dg.job
    def job() -> None:
        step()

    with dg.instance_for_test() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        found = instance.get_run_by_id(result.run_id)
        assert found
        return {t: v for t, v in found.tags.items() if t in (tags.CAUSE, tags.REMEDY, tags.EVIDENCE)}
