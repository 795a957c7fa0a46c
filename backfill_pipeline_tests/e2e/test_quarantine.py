"""A day that is given up, lifted, done, and given up again, on the daemon: each time its asset says so, and all goes on."""

from datetime import date

from backfill_pipeline.defs import tags
from backfill_pipeline.defs.ended_runs import AGAIN_OF
from backfill_pipeline.domain.datasets import Check
from backfill_pipeline.domain.windows import Window
from backfill_pipeline_tests.e2e.terminal import backfill
from backfill_pipeline_tests.e2e.ui import Ui, eventually, key

DAY = date(2026, 1, 8)
ASSET = key("north", "acme-east")
GIVEN = {tags.JOB_DAYS: "ten", "dagster/max_retries": "3", "dagster/retry_on_asset_or_op_failure": "true"}


def test_a_day_that_is_given_up_again_after_it_was_lifted_ends_no_retries(pipeline: Ui) -> None:
    pipeline.live.make_data()
    with pipeline.sensor_on("retry_failed_days"):
        for _ in range(2):
            _is_given_up(pipeline)
            days = (ASSET[2], str(DAY), "--cluster", ASSET[1], "--dataset", ASSET[0])
            assert f"{ASSET[0]} of {ASSET[2]} on {ASSET[1]}: {DAY}" in backfill(pipeline, "retry", *days, "--yes")
            eventually("the day shown as done", lambda: pipeline.shown(ASSET, Check.QUARANTINE, DAY) == "SUCCEEDED")
            assert pipeline.verdict(ASSET, Check.QUARANTINE, DAY)
    assert len(pipeline.runs(**GIVEN)) >= 2
    assert not [r for r in pipeline.runs(**GIVEN) if AGAIN_OF in r.tags], "Dagster's own retries do all days again"
    assert not pipeline.live.wrong_rows(ASSET[1], ASSET[2], Window(DAY, date(2026, 1, 9)))


def _is_given_up(ui: Ui) -> None:
    """No person's tag of that kind passes by itself."""
    window = Window(DAY, date(2026, 1, 9))
    assert not ui.over(ui.client.launch_backfill([ASSET], window, title="test", tags=GIVEN)).is_good
    eventually("the day shown as given up", lambda: ui.shown(ASSET, Check.QUARANTINE, DAY) == "FAILED")
    assert ui.verdict(ASSET, Check.QUARANTINE, DAY) is False
