"""Do both sides agree? Counts and fingerprints of every day, read now, for the last step, the checks and the tables."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from backfill_pipeline.domain.coverage import Coverage
from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.findings import Findings, judge_active_days
from backfill_pipeline.domain.verdicts import DayVerdict, Doubled, Verdict, judge_days, together
from backfill_pipeline.domain.windows import Window, windows_of
from backfill_pipeline.steps.inspect import columns_of
from backfill_pipeline.steps.records import Verification
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.stores.activity import active_in_source, active_in_target
from backfill_pipeline.stores.coverage import coverage
from backfill_pipeline.stores.duplicates import doubled_ids
from backfill_pipeline.stores.pairs import unpaired
from backfill_pipeline.stores.schemas import read_schemas
from backfill_pipeline.stores.source import source_sums
from backfill_pipeline.stores.target import target_sums, unowned_rows

FOREIGN = "target row of a profile that the configuration does not name"
ORPHAN = "target row of no dataset"


def verify(systems: Systems, dataset_name: str, customer: str, profiles: Sequence[str], window: Window) -> Verification:
    """A verdict for every day of the window.

    Days that differ are read once more on both sides: live rows arrive between the two readings.

    Raises:
        PipelineError: a side can't be read; unknown is never taken for zero.
    """
    first = _read(systems, dataset_name, customer, profiles, window)
    different = [d.day for d in first if d.verdict is Verdict.DIFFERENT]
    again = {d.day: d for w in windows_of(different) for d in _read(systems, dataset_name, customer, profiles, w)}
    return Verification(tuple(_newest(d, again) for d in first), find_coverage(systems, customer, profiles, window))


def _newest(day: DayVerdict, again: dict[date, DayVerdict]) -> DayVerdict:
    return again.get(day.day, day)


def _read(
    systems: Systems, dataset_name: str, customer: str, profiles: Sequence[str], window: Window
) -> tuple[DayVerdict, ...]:
    dataset = DATASETS[dataset_name]
    columns = columns_of(read_schemas(systems.clickhouse, [t.table for t in dataset.targets]))
    source = source_sums(systems.postgres, dataset, customer, profiles, window, columns)
    target = target_sums(systems.clickhouse, dataset, customer, profiles, window, columns)
    return judge_days(window.days, together(source), together(target))


def find_coverage(systems: Systems, customer: str, profiles: Sequence[str], window: Window) -> Coverage:
    """What handles the customer's rows of the window, and which rows no configured dataset or profile does."""
    found = coverage(systems.postgres, systems.datasets, customer, profiles, window)
    tables = sorted({t.table for name in systems.datasets for t in DATASETS[name].targets})
    dayless = dict(found.dayless)
    for table, unowned in unowned_rows(systems.clickhouse, tables, customer, profiles).items():
        dayless |= {f"{FOREIGN} in {table}": unowned.foreign, f"{ORPHAN} in {table}": unowned.orphans}
    return replace(found, dayless={name: rows for name, rows in dayless.items() if rows})


def find_doubled(
    systems: Systems, dataset_name: str, customer: str, profiles: Sequence[str], window: Window
) -> tuple[Doubled, ...]:
    """Ids of the window with more than one row, wherever the others lie."""
    return doubled_ids(systems.clickhouse, DATASETS[dataset_name], customer, profiles, window)


def find_unpaired(
    systems: Systems, dataset_name: str, customer: str, profiles: Sequence[str], window: Window
) -> Findings:
    """Ids of the window that the dataset's table or the one that it goes with lacks, over all days and shards."""
    return unpaired(systems.clickhouse, DATASETS[dataset_name], customer, profiles, window)


def find_active_days(
    systems: Systems, dataset_name: str, customer: str, profiles: Sequence[str], window: Window
) -> Findings:
    """Agents that are active on a day on one side alone."""
    of = (DATASETS[dataset_name], customer, profiles, window)
    source, target = active_in_source(systems.postgres, *of), active_in_target(systems.clickhouse, *of)
    return judge_active_days(window.days, source, target)
