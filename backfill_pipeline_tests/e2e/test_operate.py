"""What an operator does from a terminal, on the daemon: launch, pause, resume, launch again, reset."""

import time
from datetime import date
from typing import Any

from backfill_pipeline.domain.windows import Window
from backfill_pipeline_tests.e2e.terminal import asked, asked_for, backfill, nothing_starts
from backfill_pipeline_tests.e2e.ui import Ui, eventually, key

DAY = date(2026, 1, 9)
DAYS = ("--start-time", "2026-01-09", "--end-time", "2026-01-10")
WHO = ("--cluster", "north", "--customer", "acme-*", "--dataset", "conversations")


def test_what_is_launched_from_a_terminal_is_never_at_work_twice_and_a_pause_holds_it(pipeline: Ui) -> None:
    pipeline.live.make_data()
    asset = key("north", "acme-east")
    with nothing_starts(pipeline, "north", why="its disk is being changed"):
        assert "Delete their rows" in asked(pipeline, "launch", *DAYS, *WHO, "--again").stdout, (
            "nobody answered, so nothing was launched"
        )
        first = backfill(pipeline, "launch", *DAYS, *WHO, "--why", "stale", "--again", "--skip-logs", "--yes")
        assert "2 days of 1 asset on north" in first
        second = backfill(pipeline, "launch", *DAYS, *WHO, "--again", "--yes")
        assert "at work: conversations of acme-east on north: backfill" in second
        assert "nothing is left to launch" in second

        run = eventually("a queued run", lambda: (r := _of(pipeline, asset)) and r.status == "QUEUED" and r)
        assert (run.tags["backfill/why"], run.tags["backfill/skip_logs"]) == ("stale", "true")
        time.sleep(8)
        assert _of(pipeline, asset).status == "QUEUED", "the pause holds it"
        assert "paused by" in backfill(pipeline, "resume", "north")
        assert pipeline.run_over(run.run_id).value == "SUCCESS"
    third = eventually("the end of the backfill", lambda: _when_over(pipeline))
    assert "done: conversations of acme-east on north: 2 days" in third
    assert "nothing is left to launch" in third

    before = {r.run_id for r in asked_for(pipeline)}
    with pipeline.sensor_on("retry_failed_days"):
        said = backfill(pipeline, "reset", "acme-east", "2026-01-09", "--dataset", "conversations", "--yes")
        assert "conversations of acme-east on north: 2026-01-09" in said
        again = eventually("the day done again", lambda: _redone(pipeline, before))
    assert pipeline.materialized_by(again) == [str(DAY)]
    assert not pipeline.live.wrong_rows("north", "acme-east", Window(DAY, date(2026, 1, 11)))


def _of(ui: Ui, asset: tuple[str, ...]) -> Any:
    return next((r for r in ui.client.unfinished_runs() if asset in r.keys), None)


def _when_over(ui: Ui) -> str | None:
    said = backfill(ui, "launch", *DAYS, *WHO, "--yes")
    return None if "at work" in said else said


def _redone(ui: Ui, before: set[str]) -> str | None:
    return next((r.run_id for r in asked_for(ui) if r.run_id not in before and r.is_success), None)
