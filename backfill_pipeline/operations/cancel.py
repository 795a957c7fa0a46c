"""Cancelling: what was emptied must not be forgotten, so somebody decides between finishing it and leaving it empty."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from backfill_pipeline.clients.dagster import DagsterClient, RunState, Unfinished
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.retries import Of
from backfill_pipeline.operations.launch import days_of_run, keys_of
from backfill_pipeline.report.amounts import counted
from backfill_pipeline.stores.ledger import Emptied, Ledger

FINISH_SECONDS = 6 * 3600
OVER_SECONDS = 60.0  # a run that is asked to end cancels its workflows and its deletes first
POLL_SECONDS = 2.0


@dataclass(frozen=True)
class AtWork:
    """What a cancel would end. emptied: windows of these runs that have lost their rows and not yet got new ones.

    beyond: backfills that have other customers too; their runs of these can be cancelled, they can't.
    """

    backfills: tuple[Unfinished, ...]
    runs: tuple[RunState, ...]
    emptied: tuple[tuple[RunState, Emptied], ...]
    beyond: tuple[Unfinished, ...]

    @property
    def is_nothing(self) -> bool:
        return not self.backfills and not self.runs

    @property
    def emptying(self) -> frozenset[str]:
        """Runs that must not be cancelled where nothing shall be left empty."""
        return frozenset(run.run_id for run, _ in self.emptied)


@dataclass(frozen=True)
class Canceller:
    """What every look needs. wanted: whose backfills and runs."""

    client: DagsterClient
    ledger: Ledger
    wanted: Sequence[Of]
    sleep: Callable[[float], None] = time.sleep

    def look(self) -> AtWork:
        keys = keys_of(self.wanted)
        backfills = [b for b in self.client.unfinished_backfills() if b.keys & keys.keys()]
        inside = [b for b in backfills if all(k in keys or k[0] == "ready" for k in b.keys)]
        runs = [r for r in self.client.unfinished_runs() if r.keys & keys.keys()]
        emptied = self.ledger.emptied()
        return AtWork(
            tuple(inside),
            tuple(runs),
            tuple((r, e) for r in runs for e in _emptied_by(r, keys, emptied)),
            tuple(b for b in backfills if b not in inside),
        )

    def leave_empty(self, found: AtWork) -> dict[str, str]:
        """End all of it, whatever is emptied; run id -> why it could not be asked."""
        for backfill in found.backfills:
            self.client.cancel_backfill(backfill.backfill_id)
        return self._ended(found)

    def finish(
        self, *, deadline_seconds: float = FINISH_SECONDS, on_poll: Callable[[AtWork], None] = lambda _: None
    ) -> dict[str, str]:
        """End what is not emptied, wait for what is; the backfills last, as Dagster ends their runs with them.

        A backfill launches runs until it is cancelled, so all is looked at anew until no run is left: one that has got as
        far as its delete meanwhile is waited for too, and one whose rows are back goes on to its own end.

        Returns as `leave_empty`: nothing, as no run is left.

        Raises:
            PipelineError: RETRY, windows are emptied at the deadline; their backfills go on.
        """
        end, kept = time.monotonic() + deadline_seconds, frozenset[str]()
        while (found := self.look()).runs:
            on_poll(found)
            kept |= found.emptying
            self._ended(found, but=kept)
            if time.monotonic() > end:
                raise _not_finished(found, deadline_seconds)
            self.sleep(POLL_SECONDS)
        for backfill in found.backfills:
            self.client.cancel_backfill(backfill.backfill_id)
        return {}

    def wait_over(
        self, found: AtWork, *, but: frozenset[str] = frozenset(), deadline_seconds: float = OVER_SECONDS
    ) -> AtWork:
        """What of it is not over at the deadline: runs that were asked to end go on for a while.

        Args:
            but: runs that could not be asked.
        """
        end = time.monotonic() + deadline_seconds
        found = replace(found, runs=tuple(r for r in found.runs if r.run_id not in but))
        while not (left := self._still(found)).is_nothing and time.monotonic() < end:
            self.sleep(POLL_SECONDS)
        return left

    def _still(self, found: AtWork) -> AtWork:
        runs = {r.run_id for r in self.client.unfinished_runs()}
        backfills = {b.backfill_id for b in self.client.unfinished_backfills()}
        return replace(
            found,
            runs=tuple(r for r in found.runs if r.run_id in runs),
            backfills=tuple(b for b in found.backfills if b.backfill_id in backfills),
        )

    def without_rows(self) -> tuple[Emptied, ...]:
        """Windows of these customers that are emptied now, whoever emptied them."""
        return tuple(e for e in self.ledger.emptied() if Of(e.cluster, e.customer, e.dataset) in self.wanted)

    def _ended(self, found: AtWork, but: frozenset[str] = frozenset()) -> dict[str, str]:
        ids = [r.run_id for r in found.runs if r.run_id not in but and r.status != "CANCELING"]
        return dict(self.client.terminate(ids)) if ids else {}


def refuse_emptied(found: AtWork) -> None:
    """Where nobody said what becomes of them.

    Raises:
        Refused: runs have deleted rows and not yet written them again.
    """
    if found.emptied:
        raise Refused(
            "Windows are emptied",
            where=f"{len(found.emptying)} of {counted(len(found.runs), 'run')}",
            why="a cancel leaves their days without rows in ClickHouse",
            next_step="--finish waits for these runs and cancels the others; --leave-empty cancels them too",
        )


def _emptied_by(run: RunState, keys: dict[tuple[str, ...], Of], emptied: Sequence[Emptied]) -> list[Emptied]:
    days = set(days_of_run(run, keys))
    return [e for e in emptied if any((Of(e.cluster, e.customer, e.dataset), d) in days for d in e.window.days)]


def _not_finished(found: AtWork, seconds: float) -> PipelineError:
    return PipelineError(
        "The emptied windows are not finished",
        where=", ".join(sorted(r.run_id for r in found.runs)),
        why=f"at work for {seconds:.0f} s more",
        next_step="look at these runs; their backfills are not cancelled",
        kind=Kind.RETRY,
    )
