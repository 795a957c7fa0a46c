"""What the asset of a day shows that is given up, or no longer is.

Of a day Dagster shows the run that was *made* last, whichever ended last, and nothing that was told of an older
materialization than the newest. So what is known is told as of that run and that materialization. Neither lasts: a run of
the checks alone takes its place, and one that is cancelled says nothing. So what was shown is looked at again.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from logging import Logger
from uuid import uuid4

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status
from dagster._core.storage.asset_check_execution_record import AssetCheckPartitionInfo as Row

from backfill_pipeline.defs.evaluations import counted_materializations, quarantine_evaluation
from backfill_pipeline.domain.datasets import Check
from backfill_pipeline.domain.retries import DayState, Of

ASSET_JOB = "__ASSET_JOB"  # Dagster's name of what a run that materializes assets carries out

Judged = tuple[DayState, str | None]  # a day, and why it is given up; None, it is not
Assets = Mapping[Of, dg.AssetKey]


def show(instance: dg.DagsterInstance, assets: Assets, judged: Iterable[Judged], log: Logger) -> list[DayState]:
    """Those of these days whose assets show it now. What can't be shown must not hold up the retries of all others."""
    shown: list[DayState] = []
    for of, some in _by_asset(judged):
        try:
            events = list(evaluations(instance, assets[of], some))
        except Exception as error:
            log.error(f"{of}: its asset does not show what is known of {len(some)} days: {error}")
            continue
        shown += (state for run_id, state, said in events if _is_taken(instance, run_id, state, said, log))
    return shown


def evaluations(
    instance: dg.DagsterInstance, key: dg.AssetKey, judged: Iterable[Judged]
) -> Iterator[tuple[str, DayState, dg.AssetCheckEvaluation]]:
    """Each with the run whose word Dagster shows of the day.

    Without a run Dagster keeps one evaluation per check and day, ever, and fails the tick that brings another. Where one was
    reported by hand, no word of an older run is shown any more: that of a run it has never heard of is.
    """
    given, unheard = list(judged), str(uuid4())
    days = [str(state.day) for state, _ in given]
    rows, targets = _rows(instance, key, days), counted_materializations(instance, key, days)
    for state, why in given:
        row = rows.get(str(state.day))
        run_id = (row.latest_planned_run_id or unheard) if row else state.last.run_id
        yield run_id, state, quarantine_evaluation(key, state.day, state, why, targets)


def hidden(instance: dg.DagsterInstance, key: dg.AssetKey, given_up: Iterable[Judged]) -> list[Judged]:
    """Those whose asset does not show it, though it was shown."""
    given = list(given_up)
    rows = _rows(instance, key, [str(state.day) for state, _ in given])
    return [(state, why) for state, why in given if not _is_shown(rows.get(str(state.day)))]


def _is_shown(row: Row | None) -> bool:
    return row is not None and row.latest_execution_status is Status.FAILED and row.is_current


def _rows(instance: dg.DagsterInstance, key: dg.AssetKey, days: list[str]) -> Mapping[str, Row]:
    check = dg.AssetCheckKey(key, Check.QUARANTINE.value)
    found = instance.event_log_storage.get_asset_check_partition_info([check], partition_keys=days)
    return {str(row.partition_key): row for row in found}


def _by_asset(judged: Iterable[Judged]) -> Iterator[tuple[Of, list[Judged]]]:
    for of, some in groupby(sorted(judged, key=lambda j: (j[0].last.of, j[0].day)), lambda j: j[0].last.of):
        yield of, list(some)


def _is_taken(
    instance: dg.DagsterInstance, run_id: str, state: DayState, said: dg.AssetCheckEvaluation, log: Logger
) -> bool:
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION.value
    try:
        instance.report_dagster_event(dg.DagsterEvent(kind, ASSET_JOB, event_specific_data=said), run_id=run_id)
    except Exception as error:
        log.error(f"{state.last.of}, {state.day}: its asset does not show what is known of it: {error}")
        return False
    return True
