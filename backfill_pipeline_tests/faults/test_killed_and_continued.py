"""A step that was killed and is carried out again in the same attempt: there is one delete, one Job, one workflow."""

from pathlib import Path

import pytest

from backfill_pipeline_tests.faults.driver import KillPoint as After
from backfill_pipeline_tests.faults.windows import Small

POINTS = (
    After("ledger.mark_delete_submitted"),
    After("mutations.submit", 2),
    After("mutations.wait", 1),
    After("jobs._create"),
    After("jobs._call_runner"),
    After("launcher.ensure"),
    After("temporal.status", 1),
    After("ledger.mark_ended"),
    After("ledger.audit"),
    After("ledger.close"),
)


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_k2_no_second_job_and_no_lost_row_where_the_killed_step_is_repeated(
    small: Small, tmp_path: Path, point: After
) -> None:
    small.continued_after_kill(tmp_path, point)
