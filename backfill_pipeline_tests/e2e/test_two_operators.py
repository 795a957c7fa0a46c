"""Two operators launch overlapping ranges in the same moment: no day is at work twice at once, and all of them are right."""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import dagster as dg

from backfill_pipeline.defs.ended_runs import days_of
from backfill_pipeline_tests.e2e.terminal import backfill
from backfill_pipeline_tests.e2e.ui import Ui, key
from backfill_pipeline_tests.live import WHOLE

WHO = ("--cluster", "south", "--customer", "initech", "--dataset", "conversations", "--again", "--yes", "--wait")
RANGES = [("2026-01-01", "2026-01-06"), ("2026-01-04", "2026-01-10")]


def test_d16_overlapping_launches_of_one_moment_never_work_on_a_day_at_once(pipeline: Ui) -> None:
    pipeline.live.make_data()
    assert pipeline.live.wrong_rows("south", "initech", WHOLE)
    launches = [("launch", "--start-time", a, "--end-time", b, *WHO, "--why", a) for a, b in RANGES]
    with ThreadPoolExecutor(len(launches)) as pool:
        said = list(pool.map(lambda arguments: backfill(pipeline, *arguments), launches))
    runs = [r for why, _ in RANGES for r in _runs(pipeline, why)]
    assert len(runs) == len(RANGES) or any("at work" in text for text in said)
    assert all(r.dagster_run.is_success for r in runs)
    for one, other in combinations(runs, 2):
        if set(days_of(one.dagster_run.tags)) & set(days_of(other.dagster_run.tags)):
            assert _ended(one) <= _started(other) or _ended(other) <= _started(one)
    assert not pipeline.live.wrong_rows("south", "initech", WHOLE)


def _runs(ui: Ui, why: str) -> list[dg.RunRecord]:
    """Of the customer, not of the gate."""
    asset = dg.AssetKey(list(key("south", "initech")))
    with ui.instance() as instance:
        records = instance.get_run_records(dg.RunsFilter(tags={"backfill/why": why}))
    return [r for r in records if asset in (r.dagster_run.asset_selection or ())]


def _started(record: dg.RunRecord) -> float:
    assert record.start_time
    return record.start_time


def _ended(record: dg.RunRecord) -> float:
    assert record.end_time
    return record.end_time
