"""Do both sides agree? Counts and fingerprints of every day, read now, for the last step, the checks and the tables."""

from collections.abc import Sequence
from datetime import date

from backfill_pipeline.domain.datasets import DATASETS, Dataset
from backfill_pipeline.domain.verdicts import DayVerdict, Doubled, Verdict, judge_days, together
from backfill_pipeline.domain.windows import Window, windows_of
from backfill_pipeline.steps.inspect import columns_of
from backfill_pipeline.steps.records import Verification
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.stores.duplicates import doubled_ids
from backfill_pipeline.stores.source import source_sums
from backfill_pipeline.stores.target import foreign_rows, orphan_rows, target_sums

FOREIGN = "target row of a profile that the configuration does not name"
ORPHAN = "target row of no dataset"


def verify(systems: Systems, dataset_name: str, customer: str, profiles: Sequence[str], window: Window) -> Verification:
    """A verdict for every day of the window.

    Days that differ are read once more on both sides: live rows arrive between the two readings.

    Raises:
        PipelineError: a side can't be read; unknown is never taken for zero.
    """
    first = _read(systems, dataset_name, customer, profiles, window)
    different = [d.day for d in first.days if d.verdict is Verdict.DIFFERENT]
    again = {d.day: d for w in windows_of(different) for d in _read(systems, dataset_name, customer, profiles, w).days}
    return Verification(tuple(_newest(d, again) for d in first.days), first.uncovered)


def _newest(day: DayVerdict, again: dict[date, DayVerdict]) -> DayVerdict:
    return again.get(day.day, day)


def _read(systems: Systems, dataset_name: str, customer: str, profiles: Sequence[str], window: Window) -> Verification:
    dataset = DATASETS[dataset_name]
    columns = columns_of(systems.clickhouse.schemas([t.table for t in dataset.targets]))
    source, uncovered = source_sums(systems.postgres, dataset, customer, profiles, window, columns)
    target = target_sums(systems.clickhouse, dataset, customer, profiles, window, columns)
    classes = {**uncovered, **_in_no_window(systems, dataset, customer, profiles)}
    return Verification(judge_days(window.days, together(source), together(target)), classes)


def _in_no_window(systems: Systems, dataset: Dataset, customer: str, profiles: Sequence[str]) -> dict[str, int]:
    foreign = foreign_rows(systems.clickhouse, dataset, customer, profiles)
    found = {f"{FOREIGN} in {t}": rows for t, rows in foreign.items()}
    orphans = orphan_rows(systems.clickhouse, dataset, customer)
    return {**found, f"{ORPHAN} in {dataset.main.table}": orphans} if orphans else found


def find_doubled(
    systems: Systems, dataset_name: str, customer: str, profiles: Sequence[str], window: Window
) -> tuple[Doubled, ...]:
    """Ids of the window with more than one row, wherever the others lie."""
    return doubled_ids(systems.clickhouse, DATASETS[dataset_name], customer, profiles, window)
