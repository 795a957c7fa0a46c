"""Cancelling on the daemon: what would be left empty is said before, finished or left by name, and can be done again."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from backfill_pipeline.stack.state import last_state
from backfill_pipeline_tests.e2e.terminal import asked, asked_for, backfill, typed
from backfill_pipeline_tests.e2e.ui import Ui, eventually, key
from backfill_pipeline_tests.live import WHOLE
from backfill_pipeline_tests.standstill import standing_still

DAYS = ("--start-time", "2026-01-01", "--end-time", "2026-01-10")
EAST = ("--cluster", "north", "--dataset", "conversations", "--customer", "acme-east")


@contextmanager
def no_rows_come(ui: Ui, cluster: str) -> Iterator[None]:
    """Its worker stands still: windows are emptied, and stay so."""
    state = last_state(ui.live.state.folder)
    assert state
    with standing_still(state.pids[f"worker-{cluster}"]):
        yield


def run_of(ui: Ui, customer: str, dataset: str = "conversations") -> Any:
    asset = key("north", customer, dataset)
    return eventually(
        f"a run of {asset}", lambda: next((r for r in ui.client.unfinished_runs() if asset in r.keys), None)
    )


def emptied(ui: Ui) -> set[tuple[str, str]]:
    with ui.live.systems("north") as systems:
        return {(e.dataset, e.customer) for e in systems.ledger.emptied()}


def test_a_cancel_leaves_days_empty_only_where_that_is_said_and_they_can_be_done_again(pipeline: Ui) -> None:
    pipeline.live.make_data()
    assert "nothing is at work there" in backfill(pipeline, "cancel", *EAST, "--yes")
    with no_rows_come(pipeline, "north"):
        backfill(pipeline, "launch", *DAYS, *EAST, "--again", "--yes")
        run = run_of(pipeline, "acme-east")
        eventually("an emptied window", lambda: ("conversations", "acme-east") in emptied(pipeline))
        refused = asked(pipeline, "cancel", *EAST, "--yes")
        assert refused.returncode == 2
        assert f"emptied: conversations of acme-east on north, {WHOLE}, run {run.run_id}" in refused.stdout
        assert "--leave-empty cancels them too" in refused.stderr
        assert run_of(pipeline, "acme-east").run_id == run.run_id, "nothing was cancelled"
        assert asked(pipeline, "cancel", *EAST, "--leave-empty").returncode == 1, "nobody answered"
        said = backfill(pipeline, "cancel", *EAST, "--leave-empty", "--yes")
        assert f"run {run.run_id}: conversations of acme-east on north, {WHOLE}, by " in said
        assert "cancelled; 1 window is WITHOUT ROWS" in said or "asked to end: 1 backfill and 1 run" in said, said
        assert pipeline.run_over(run.run_id).value == "CANCELED"
    assert run.run_id in {r.run_id for r in pipeline.client.bad_runs(run.tags["dagster/backfill"])}
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
    """Two of four runs are at work, as many as the cluster takes: as they end, the others must not begin."""
    pipeline.live.make_data()
    assets = [(d, c) for d in ("conversations", "process_scorecards") for c in ("acme", "acme-east")]
    both = [word for d, _ in assets for word in ("--dataset", d)]
    with no_rows_come(pipeline, "north"):
        backfill(pipeline, "launch", *DAYS, "--cluster", "north", *both, "--again", "--yes")
        runs = {(d, c): run_of(pipeline, c, d).run_id for d, c in assets}
        first = eventually("two emptied windows", lambda: len(found := emptied(pipeline)) == 2 and found)
        command = typed(pipeline, "cancel", "--cluster", "north", "--finish", "--yes")
        cancel = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert cancel.stdout
        eventually("that it waits", lambda: "2 emptied windows are at work" in cancel.stdout.readline())
    said, _ = cancel.communicate(timeout=300)
    assert (cancel.returncode, said.splitlines()[-1].startswith("cancelled; what was emptied is finished")) == (0, True)
    ends = {asset: pipeline.run_over(run).value for asset, run in runs.items()}
    assert ends == {asset: "SUCCESS" if asset in first else "CANCELED" for asset in assets}
    assert emptied(pipeline) == set()
    for customer in ("acme", "acme-east"):
        is_wrong = bool(pipeline.live.wrong_rows("north", customer, WHOLE))
        assert is_wrong is (("conversations", customer) not in first), "what was never emptied is as it was"
    eventually("the end of all backfills", lambda: not pipeline.client.unfinished_backfills())
