"""Cancelling: what was emptied must not be forgotten, so somebody decides between finishing it and leaving it empty.

What the retry sensor would launch is ended first: it looks every few seconds, and a run that ends makes room for the next.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from backfill_pipeline.clients.account import account
from backfill_pipeline.clients.dagster import DagsterClient, RunState, Unfinished
from backfill_pipeline.defs import tags
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.retries import TRIED_AGAIN, DayState, Ended, Of, Outcome, Policy, fold, given_up
from backfill_pipeline.domain.windows import windows_of
from backfill_pipeline.operations.survey import days_of_run, keys_of
from backfill_pipeline.report.amounts import counted
from backfill_pipeline.stores.failed_days import read_failed_days, write_failed_days
from backfill_pipeline.stores.ledger import Emptied, Ledger

FINISH_SECONDS = 6 * 3600
OVER_SECONDS = 60.0  # a run that is asked to end cancels its workflows and its deletes first
POLL_SECONDS = 2.0
TOO_EARLY = "NOT_STARTED"  # made, and not in the queue yet: for a moment Dagster ends no such run


@dataclass(frozen=True)
class AtWork:
    """What a cancel would end. emptied: windows of these runs that have lost their rows and not yet got new ones.

    beyond: backfills that have other customers too; their runs of these can be cancelled, they can't.
    waiting: days that were asked for, or failed, and that the retry sensor launches once they are due; empty: those of
    them that have lost their rows.
    """

    backfills: tuple[Unfinished, ...]
    runs: tuple[RunState, ...]
    emptied: tuple[tuple[RunState, Emptied], ...]
    beyond: tuple[Unfinished, ...]
    waiting: tuple[DayState, ...] = ()
    empty: tuple[DayState, ...] = ()

    @property
    def is_nothing(self) -> bool:
        return not self.backfills and not self.runs and not self.waiting

    @property
    def emptying(self) -> frozenset[str]:
        """Runs that must not be cancelled where nothing shall be left empty."""
        return frozenset(run.run_id for run, _ in self.emptied)

    @property
    def untouched(self) -> tuple[DayState, ...]:
        """What waits and has its rows still."""
        gone = {(s.last.of, s.day) for s in self.empty}
        return tuple(s for s in self.waiting if (s.last.of, s.day) not in gone)

    def but(self, ids: Iterable[str]) -> "AtWork":
        """Without these runs and backfills."""
        known = set(ids)
        return replace(
            self,
            runs=tuple(r for r in self.runs if r.run_id not in known),
            backfills=tuple(b for b in self.backfills if b.backfill_id not in known),
        )

    @property
    def ids(self) -> frozenset[str]:
        return frozenset([*(r.run_id for r in self.runs), *(b.backfill_id for b in self.backfills)])


@dataclass(frozen=True)
class Canceller:
    """What every look needs. wanted: whose backfills and runs. policy: which failed days are retried by themselves."""

    client: DagsterClient
    ledger: Ledger
    wanted: Sequence[Of]
    policy: Policy
    sleep: Callable[[float], None] = time.sleep

    def look(self) -> AtWork:
        keys = keys_of(self.wanted)
        backfills = [b for b in self.client.unfinished_backfills() if b.keys & keys.keys()]
        inside = [b for b in backfills if all(k in keys or k[0] == "ready" for k in b.keys)]
        runs = [r for r in self.client.unfinished_runs() if r.keys & keys.keys()]
        emptied = self.ledger.emptied()
        waiting = self._waiting(runs, keys)
        gone = {(Of(e.cluster, e.customer, e.dataset), d) for e in emptied for d in e.window.days}
        return AtWork(
            tuple(inside),
            tuple(runs),
            tuple((r, e) for r in runs for e in _emptied_by(r, keys, emptied)),
            tuple(b for b in backfills if b not in inside),
            waiting,
            tuple(s for s in waiting if (s.last.of, s.day) in gone),
        )

    def _waiting(self, runs: Sequence[RunState], keys: dict[tuple[str, ...], Of]) -> tuple[DayState, ...]:
        """Not what a run is at work on: how that ends is newer than its failure. A request outlives a run made before it.

        A run that can't be asked to end yet is not at work: once its days are withdrawn, it refuses itself.
        """
        busy: dict[tuple[Of, date], set[str | None]] = {}
        for run in (r for r in runs if r.status != TOO_EARLY):
            for at in days_of_run(run, keys):
                busy.setdefault(at, set()).add(run.tags.get(tags.RETRY_OF))
        known = sorted(read_failed_days(self.ledger).items())
        due = [(at, s) for at, s in known if at[0] in self.wanted and s.last.ended in TRIED_AGAIN]
        return tuple(
            s
            for at, s in due
            if not given_up(s, self.policy)
            and (at not in busy or (s.last.ended is Ended.ASKED and s.last.run_id not in busy[at]))
        )

    def leave_empty(self, found: AtWork) -> dict[str, str]:
        """End all of it, whatever is emptied; run id -> why it could not be asked."""
        self._withdraw(found.waiting)
        for backfill in found.backfills:
            self.client.cancel_backfill(backfill.backfill_id)
        return self._ended(found)

    def finish(
        self, *, deadline_seconds: float = FINISH_SECONDS, on_poll: Callable[[AtWork], None] = lambda _: None
    ) -> dict[str, str]:
        """End what is not emptied, wait for what is; the backfills last, as Dagster ends their runs with them.

        A backfill launches runs until it is cancelled, so all is looked at anew until no run is left: one that has got as
        far as its delete meanwhile is waited for too, and one whose rows are back goes on to its own end. An emptied window
        that waits for its retry is finished by it.

        Returns as `leave_empty`: nothing, as no run is left.

        Raises:
            PipelineError: RETRY, windows are emptied at the deadline; their backfills and retries go on.
        """
        end, kept = time.monotonic() + deadline_seconds, frozenset[str]()
        while (found := self.look()).runs or found.empty:
            on_poll(found)
            kept |= found.emptying
            self._withdraw(found.untouched)
            self._ended(found.but(kept))
            if time.monotonic() > end:
                raise _not_finished(found, deadline_seconds)
            self.sleep(POLL_SECONDS)
        self.leave_empty(found)
        return {}

    def wait_over(
        self,
        known: AtWork,
        *,
        refused: Mapping[str, str],
        deadline_seconds: float = OVER_SECONDS,
        on_more: Callable[[RunState], None] = lambda _: None,
    ) -> tuple[AtWork, dict[str, str]]:
        """What is not over at the deadline, as runs that were asked to end go on for a while; and what could not be asked.

        What begins meanwhile is ended too: the sensor may have been about to launch it. A run that was asked too early is
        asked again; one that refuses once it could be asked is not waited for.

        Args:
            known: what was ended.
            refused: runs that could not be asked, each with why.
        """
        end, seen, why = time.monotonic() + deadline_seconds, known.ids, dict(refused)
        asked = seen - _too_early(known, why)
        while not (left := self.look().but(why.keys() & asked)).is_nothing and time.monotonic() < end:
            more = left.but(asked)
            for run in more.but(seen).runs:
                on_more(run)
            why = {r: w for r, w in why.items() if r not in more.ids} | self.leave_empty(more)
            seen, asked = seen | more.ids, asked | (more.ids - _too_early(more, why))
            self.sleep(POLL_SECONDS)
        return left.but(why), why

    def without_rows(self) -> tuple[Emptied, ...]:
        """Windows of these customers that are emptied now, whoever emptied them."""
        return tuple(e for e in self.ledger.emptied() if Of(e.cluster, e.customer, e.dataset) in self.wanted)

    def _withdraw(self, states: Iterable[DayState]) -> None:
        """As cancelled by hand: the sensor leaves them alone, and `backfill retry --cancelled` offers them."""
        given = {(s.last.of, s.day): s for s in states}
        write_failed_days(self.ledger, fold(given, map(_withdrawn, given.values())).values())

    def _ended(self, found: AtWork) -> dict[str, str]:
        ids = [r.run_id for r in found.runs if r.status != "CANCELING"]
        return dict(self.client.terminate(ids)) if ids else {}


def _too_early(found: AtWork, refused: Mapping[str, str]) -> frozenset[str]:
    return frozenset(r.run_id for r in found.runs if r.status == TOO_EARLY and r.run_id in refused)


def _withdrawn(state: DayState) -> Outcome:
    """Newer than what it ends, also where that was written by a clock that is ahead."""
    last = state.last
    at = max(datetime.now(UTC), last.ended_at + timedelta.resolution)
    return replace(
        last,
        days=(state.day,),
        ended=Ended.CANCELLED,
        ended_at=at,
        made_at=None,
        retry_of=last.run_id,
        evidence=f"withdrawn by {account()}; before: {last.cause}",
    )


def pending(states: Iterable[DayState]) -> list[str]:
    """What waits, a window per line: whose, and why it is done again."""
    alike: dict[tuple[Of, str], list[DayState]] = {}
    for state in states:
        alike.setdefault((state.last.of, state.last.run_id), []).append(state)
    return [
        f"{of.dataset} of {of.customer} on {of.cluster}, {window}, {_why(group[0])}"
        for (of, _), group in alike.items()
        for window in windows_of(s.day for s in group)
    ]


def _why(state: DayState) -> str:
    return (
        state.last.cause
        if state.last.ended is Ended.ASKED
        else f"retry of run {state.last.run_id} ({state.last.cause})"
    )


def refuse_emptied(found: AtWork) -> None:
    """Where nobody said what becomes of them.

    Raises:
        Refused: runs have deleted rows and not yet written them again, and they or their retries would do so.
    """
    if found.emptied or found.empty:
        runs = f"{len(found.emptying)} of {counted(len(found.runs), 'run')}" if found.emptied else ""
        retries = f"{counted(len(pending(found.empty)), 'window')} waiting for a retry" if found.empty else ""
        raise Refused(
            "Windows are emptied",
            where=", ".join(filter(None, (runs, retries))),
            why="a cancel leaves their days without rows in ClickHouse",
            next_step="--finish waits for these runs and retries, and cancels the others; --leave-empty cancels them too",
        )


def _emptied_by(run: RunState, keys: dict[tuple[str, ...], Of], emptied: Sequence[Emptied]) -> list[Emptied]:
    days = set(days_of_run(run, keys))
    return [e for e in emptied if any((Of(e.cluster, e.customer, e.dataset), d) in days for d in e.window.days)]


def _not_finished(found: AtWork, seconds: float) -> PipelineError:
    return PipelineError(
        "The emptied windows are not finished",
        where=", ".join([*sorted(r.run_id for r in found.runs), *pending(found.empty)]),
        why=f"at work, or waiting for their retries, for {seconds:.0f} s more",
        next_step="look at these runs, and at `backfill status` whether retries rest; their backfills are not cancelled",
        kind=Kind.RETRY,
    )
