"""`backfill status` while Dagster's own daemon works: what waits and what runs is told as Dagster has it."""

from datetime import date

from backfill_pipeline.domain.status import Trouble
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.operations.select import select
from backfill_pipeline.operations.status import Asked, status
from backfill_pipeline_tests.e2e.ui import Ui, eventually, key

FIRST, LAST = date(2026, 1, 1), date(2026, 1, 3)


def test_runs_that_dagster_has_are_not_shown_and_days_that_it_did_are_not_done(pipeline: Ui) -> None:
    pipeline.live.make_data(size=0.02, days=3)
    config, url = pipeline.live.config, pipeline.live.state.dagster_url
    assert url
    assets = select(config, clusters=["north"], customers=["acme", "acme-east"], datasets=["conversations"])
    wanted = Asked(config, assets, url, FIRST, LAST)
    keys = [("ready", "north"), key("north", "acme"), key("north", "acme-east")]
    backfill = pipeline.client.launch_backfill(keys, Window(FIRST, date(2026, 1, 4)), title="test")
    [launched] = status(wanted).launched
    assert (launched.backfill_id, launched.days, len(launched.of)) == (backfill, 3, 2)
    seen = eventually("runs of both", lambda: {k for r in pipeline.client.unfinished_runs() for k in r.keys} or None)
    assert seen <= set(keys)
    running = eventually("a run at work", lambda: (now := status(wanted)).running and now)
    assert (running.unasked, running.launched) == ((), ())
    assert [r.is_ending for r in running.running] == [False] * len(running.running)
    assert sum((running.clusters[0].queued_runs or 0, running.clusters[0].started_runs or 0)) >= 1
    pipeline.over(backfill)
    over = status(wanted)
    assert (over.running, over.strangers, over.launched, over.unasked) == ((), (), (), ())
    [off] = over.attention
    assert (off.trouble, "turned off" in off.why) == (Trouble.RETRIES, True), "as these tests have it"
    assert over.clusters[0].days
    assert over.clusters[0].days.done == 6
    assert (over.clusters[0].rows or 0) > 0
    assert over.clusters[0].rows_per_second
    assert over.clusters[0].seconds_left == 0.0
    assert (over.clusters[0].queued_runs, over.clusters[0].started_runs) == (0, 0)
