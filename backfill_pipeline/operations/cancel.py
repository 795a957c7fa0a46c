"""Cancelling: what was emptied must not be forgotten, so somebody decides between finishing it and leaving it empty."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backfill_pipeline.clients.dagster import DagsterClient, RunState, Unfinished
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.retries import Of
from backfill_pipeline.operations.launch import days_of_run, keys_of
from backfill_pipeline.stores.ledger import Emptied, Ledger

FINISH_SECONDS = 6 * 3600
POLL_SECONDS = 2.0


@dataclass(frozen=True)
class AtWork:
    """What a cancel would end. emptied: windows of these runs that have lost their rows and not yet got new ones."""

    backfills: tuple[Unfinished, ...]
    runs: tuple[RunState, ...]
    emptied: tuple[tuple[RunState, Emptied], ...]
    beyond: tuple[Unfinished, ...]

    @property
    def is_nothing(self) -> bool:
        return not self.backfills and not self.runs


def at_work(client: DagsterClient, ledger: Ledger, wanted: Sequence[Of]) -> AtWork:
    """One look. beyond: backfills that have other customers too; their runs of these can be cancelled, they can't."""
    keys = keys_of(wanted)
    backfills = [b for b in client.unfinished_backfills() if b.keys & keys.keys()]
    inside = [b for b in backfills if all(k in keys or k[0] == "ready" for k in b.keys)]
    runs = [r for r in client.unfinished_runs() if r.keys & keys.keys()]
    emptied = ledger.emptied()
    return AtWork(
        tuple(inside),
        tuple(runs),
        tuple((r, e) for r in runs for e in _emptied_by(r, keys, emptied)),
        tuple(b for b in backfills if b not in inside),
    )


def _emptied_by(run: RunState, keys: dict[tuple[str, ...], Of], emptied: Sequence[Emptied]) -> list[Emptied]:
    days = set(days_of_run(run, keys))
    return [e for e in emptied if any((Of(e.cluster, e.customer, e.dataset), d) in days for d in e.window.days)]


def cancel(client: DagsterClient, found: AtWork) -> dict[str, str]:
    """End all of it; run id -> why it could not be asked."""
    for backfill in found.backfills:
        client.cancel_backfill(backfill.backfill_id)
    return dict(client.terminate([r.run_id for r in found.runs])) if found.runs else {}


def wait_for_the_emptied(
    client: DagsterClient,
    found: AtWork,
    *,
    deadline_seconds: float = FINISH_SECONDS,
    on_poll: Callable[[int], None] = lambda _: None,
) -> None:
    """Return when the runs whose windows are emptied are over.

    Raises:
        PipelineError: RETRY, they are not; nothing was cancelled.
    """
    waited_for = {r.run_id for r, _ in found.emptied}
    end = time.monotonic() + deadline_seconds
    while left := waited_for & {r.run_id for r in client.unfinished_runs()}:
        on_poll(len(left))
        if time.monotonic() > end:
            raise PipelineError(
                "The emptied windows are not finished",
                where=", ".join(sorted(left)),
                why=f"at work for {deadline_seconds:.0f} s more",
                next_step="look at these runs; nothing was cancelled yet",
                kind=Kind.RETRY,
            )
        time.sleep(POLL_SECONDS)
