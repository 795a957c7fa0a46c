"""The window of a run, by the days that Dagster gives it."""

import dagster as dg
import pytest

from backfill_pipeline.defs.partitions import run_window, window_of
from backfill_pipeline.domain.errors import Refused


def test_a_run_without_days_is_told_how_to_give_them() -> None:
    @dg.op
    def inspect(context: dg.OpExecutionContext) -> None:
        run_window(context)

    @dg.job
    def without_days() -> None:
        inspect()

    with pytest.raises(Refused, match=r"none are given.*choose days on the asset's .*asset_partition_range_start"):
        without_days.execute_in_process()


@pytest.mark.parametrize(
    ("days", "why"), [([], "empty or reversed"), (["2026-01-01", "2026-01-03"], "they are in 2 parts")]
)
def test_no_run_touches_days_that_one_delete_and_one_job_can_not_cover(days: list[str], why: str) -> None:
    with pytest.raises(Refused, match=why):
        window_of(days)
