"""`--wait`: what changes in the backfills meanwhile, and what became of them."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import typer

from backfill_pipeline.cli.app import told_on_change
from backfill_pipeline.cli.work import cut, work_of

if TYPE_CHECKING:
    from backfill_pipeline.clients.dagster import BackfillState, DagsterClient, RunState

LOOK_OR_CANCEL = "`backfill status` says what becomes of them, `backfill cancel` ends them"
ENDS = {"SUCCESS": "done", "FAILURE": "failed", "CANCELED": "cancelled"}


def waited(client: "DagsterClient", backfills: Mapping[str, str]) -> int:
    """0 if every backfill ended well, with every run. backfills: by cluster."""
    from backfill_pipeline.operations.wait import wait

    tell = told_on_change()
    try:
        states = wait(
            client,
            backfills,
            lambda now: tell("; ".join(f"{c}: {_counts(s)}" for c, s in now.items())),
            lambda error: tell(f"{error.what} ({error.why}); the backfills go on, and it is asked again"),
        )
    except KeyboardInterrupt:
        typer.echo(f"no longer waited for: {', '.join(backfills.values())}; they go on. {LOOK_OR_CANCEL}", err=True)
        raise
    for line in (line for state in states.values() for line in _ended(client, state)):
        typer.echo(line)
    is_good = all(state.is_good for state in states.values())
    if not is_good:
        typer.echo("`backfill status` says what becomes of them")
    return 0 if is_good else 1


def _counts(state: "BackfillState") -> str:
    """Its runs, the gate's too."""
    from collections import Counter

    from backfill_pipeline.clients.dagster import WAITS

    kinds = Counter(ENDS.get(s, "queued" if s in WAITS else "running") for s in state.runs.values())
    order = ("queued", "running", *ENDS.values())
    return "runs " + ", ".join(f"{kinds[k]:,} {k}" for k in order if kinds[k]) if kinds else "no runs yet"


def _ended(client: "DagsterClient", state: "BackfillState") -> Iterator[str]:
    error = f": {state.error}" if state.error else ""
    yield f"backfill {state.backfill_id}: {state.status}{error}"
    if not state.is_good:
        yield from cut([_bad(run) for run in client.bad_runs(state.backfill_id)], "runs")


def _bad(run: "RunState") -> str:
    from backfill_pipeline.defs import tags
    from backfill_pipeline.defs.ended_runs import WITHOUT_A_WORD, said_of

    if run.status != "FAILURE":
        return f"{ENDS[run.status]}: {work_of(run)}, run {run.run_id}"
    said = said_of(run.run_id, run.tags)
    why = f"{said.get(tags.CAUSE, 'unknown')}: {said.get(tags.EVIDENCE, WITHOUT_A_WORD)}"
    return f"failed: {work_of(run)}, run {run.run_id}: {' '.join(why.split())}"
