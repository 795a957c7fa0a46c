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
        assert "not waited for: 2 days" in asked(pipeline, "launch", *DAYS, *WHO, "--again", "--yes", "--wait").stdout

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
    backfill(pipeline, "reset", "acme-east", "2026-01-10", "--dataset", "conversations", "--yes")
    withdrawn = backfill(pipeline, "cancel", *WHO, "--yes")
    assert "pending: conversations of acme-east on north, 2026-01-10, asked for by " in withdrawn
    assert "cancelled; no window is left without rows" in withdrawn
    with pipeline.sensor_on("retry_failed_days"):
        said = backfill(pipeline, "reset", "acme-east", "2026-01-09", "--dataset", "conversations", "--yes")
        assert "conversations of acme-east on north: 2026-01-09" in said
        again = eventually("the day done again", lambda: _redone(pipeline, before))
    assert pipeline.materialized_by(again) == [str(DAY)]
    assert len({r.run_id for r in asked_for(pipeline)} - before) == 1, "what a cancel withdrew was not launched"
    assert not pipeline.live.wrong_rows("north", "acme-east", Window(DAY, date(2026, 1, 11)))


def _of(ui: Ui, asset: tuple[str, ...]) -> Any:
    return next((r for r in ui.client.unfinished_runs() if asset in r.keys), None)


def _when_over(ui: Ui) -> str | None:
    said = backfill(ui, "launch", *DAYS, *WHO, "--yes")
    return None if "at work" in said else said


def _redone(ui: Ui, before: set[str]) -> str | None:
    return next((r.run_id for r in asked_for(ui) if r.run_id not in before and r.is_success), None)


def test_d16_a_backfill_tells_each_assets_own_days_and_not_those_of_its_gate(pipeline: Ui) -> None:
    """Somebody else's range made days look taken that nobody had."""
    pipeline.live.make_data()
    mine, other = key("north", "acme-east"), key("north", "acme")
    own = {other: [Window(DAY, date(2026, 1, 11))], mine: [Window(DAY, date(2026, 1, 10))]}
    with nothing_starts(pipeline, "north", why="a look"):
        every = {("ready", "north"): own[other], **own}
        backfill_id = pipeline.client.launch_days(every, title="two customers")
        targeted = pipeline.client.targeted(backfill_id, own)
        assert targeted == {asset: frozenset(d for w in windows for d in w.days) for asset, windows in own.items()}
        said = asked(pipeline, "launch", *DAYS, *WHO, "--again").stdout
        assert f"at work: conversations of acme-east on north: backfill {backfill_id}" in said
        assert "1 day of 1 asset on north" in said
        backfill(pipeline, "cancel", "--cluster", "north", "--yes")
    assert pipeline.client.ended_runs(backfill_id) == () or {
        r.status for r in pipeline.client.ended_runs(backfill_id)
    } <= {"SUCCESS", "CANCELED"}
