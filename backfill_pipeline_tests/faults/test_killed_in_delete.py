"""A run killed between any two statements of delete: the next run redoes the window."""

from pathlib import Path

import pytest

from backfill_pipeline_tests.faults.driver import KillPoint
from backfill_pipeline_tests.faults.points import DELETE
from backfill_pipeline_tests.faults.windows import Small


@pytest.mark.parametrize("point", DELETE, ids=str)
def test_no_day_is_lost_or_doubled_by_a_run_killed_after(small: Small, tmp_path: Path, point: KillPoint) -> None:
    small.redone_after_kill(tmp_path, point)
