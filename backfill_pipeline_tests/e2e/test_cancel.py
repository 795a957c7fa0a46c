"""Cancelling on the daemon: what would be left empty is said before, finished or left by name, and can be done again."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from backfill_pipeline.stack.state import last_state
from backfill_pipeline_tests.e2e.terminal import asked, asked_for, backfill, nothing_starts, typed
from backfill_pipeline_tests.e2e.ui import Ui, eventually, key
from backfill_pipeline_tests.live import WHOLE
from backfill_pipeline_tests.standstill import standing_still

DAYS = ("--start-time", "2026-01-01", "--end-time", "2026-01-10")
BOTH = ("--cluster", "north", "--dataset", "conversations")
EAST = (*BOTH, "--customer", "acme-east")


@contextmanager
def no_rows_come(ui: Ui, cluster: str) -> Iterator[None]:
    """Its worker stands still: windows are emptied, and stay so."""
    state = last_state(ui.live.state.folder)
    assert state
    with standing_still(state.pids[f"worker-{cluster}"]):
        yield


def run_of(ui: Ui, customer: str) -> Any:
    asset = key("north", customer)
    return eventually(
        f"a run of {customer}", lambda: next((r for r in ui.client.unfinished_runs() if asset in r.keys), None)
    )


def emptied(ui: Ui, customer: str) -> bool:
    with ui.live.systems("north") as systems:
        return any(e.customer == customer for e in systems.ledger.emptied())


def test_a_cancel_leaves_days_empty_only_where_that_is_said_and_they_can_be_done_again(pipeline: Ui) -> None:
    pipeline.live.make_data()
    assert "nothing is at work there" in backfill(pipeline, "cancel", *EAST, "--yes")
    with no_rows_come(pipeline, "north"):
        backfill(pipeline, "launch", *DAYS, *EAST, "--again", "--yes")
        run = run_of(pipeline, "acme-east")
        eventually("an emptied window", lambda: emptied(pipeline, "acme-east"))
        refused = asked(pipeline, "cancel", *EAST, "--yes")
        assert refused.returncode == 2
        assert f"emptied: conversations of acme-east on north, {WHOLE}, run {run.run_id}" in refused.stdout
        assert "--leave-empty cancels them too" in refused.stderr
        assert run_of(pipeline, "acme-east").run_id == run.run_id, "nothing was cancelled"
        assert asked(pipeline, "cancel", *EAST, "--leave-empty").returncode == 1, "nobody answered"
        backfill(pipeline, "cancel", *EAST, "--leave-empty", "--yes")
        assert pipeline.run_over(run.run_id).value == "CANCELED"
    (cluster,) = json.loads(asked(pipeline, "status", *DAYS, *EAST, "--json").stdout)["clusters"]
    assert cluster["days"]["emptied"] == len(WHOLE.days)

    before = {r.run_id for r in asked_for(pipeline)}
    with pipeline.sensor_on("retry_failed_days"):
        eventually(
            "that the sensor has seen it",
            lambda: "cancelled by hand" in asked(pipeline, "status", *DAYS, *EAST, "--json").stdout,
        )
        failed = ("retry", "acme-east", "--cluster", "north", "--yes")
        assert "no such day has failed" in backfill(pipeline, *failed)
        assert "asked for" in backfill(pipeline, *failed, "--cancelled")
        again = eventually("the retry", lambda: [r for r in asked_for(pipeline) if r.run_id not in before])[0]
        assert pipeline.run_over(again.run_id).value == "SUCCESS"
    assert not pipeline.live.wrong_rows("north", "acme-east", WHOLE)


def test_a_cancel_that_finishes_what_is_emptied_ends_the_others(pipeline: Ui) -> None:
    pipeline.live.make_data()
    with ExitStack() as held_up:
        with no_rows_come(pipeline, "north"):
            backfill(pipeline, "launch", *DAYS, *EAST, "--again", "--yes")
            east = run_of(pipeline, "acme-east")
            eventually("an emptied window", lambda: emptied(pipeline, "acme-east"))
            held_up.enter_context(nothing_starts(pipeline, "north", why="the others shall wait"))
            backfill(pipeline, "launch", *DAYS, *BOTH, "--customer", "acme", "--again", "--yes")
            waiting = run_of(pipeline, "acme")
            command = typed(pipeline, "cancel", *BOTH, "--finish", "--yes")
            cancel = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert cancel.stdout
            eventually("that it waits", lambda: "1 emptied windows are at work" in cancel.stdout.readline())
        said, _ = cancel.communicate(timeout=300)
        assert (cancel.returncode, said.splitlines()[-1].startswith("cancelled")) == (0, True)
        assert pipeline.run_over(east.run_id).value == "SUCCESS"
        assert pipeline.run_over(waiting.run_id).value == "CANCELED"
    assert not pipeline.live.wrong_rows("north", "acme-east", WHOLE)
    assert pipeline.live.wrong_rows("north", "acme", WHOLE), "its days were never emptied: they are as they were"
