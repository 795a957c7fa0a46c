"""Which days somebody is at work on, and which are done: what a launch and a retry leave out, by one rule."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from backfill_pipeline.clients.dagster import DagsterClient, RunState, Unfinished
from backfill_pipeline.defs.ended_runs import days_of
from backfill_pipeline.domain.retries import Ended, Of
from backfill_pipeline.domain.windows import ONE_DAY, Window
from backfill_pipeline.stores.failed_days import read_failed_days
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.progress import held, proved

Days = Mapping[Of, Sequence[date]]
At = tuple[Of, date]


@dataclass(frozen=True)
class Survey:
    """What is known of the days that somebody asks for.

    Args:
        at_work: day -> the run, backfill or lease that has it.
        done: day -> when it was proved right, if nothing went wrong with it since.
    """

    asked: Days
    at_work: Mapping[At, str]
    done: Mapping[At, datetime]

    def free(self, *, again: bool) -> Days:
        """Days per asset that nobody is at work on; with `again` also those that are done."""
        taken = self.at_work.keys() if again else self.at_work.keys() | self.done.keys()
        left = {of: [d for d in days if (of, d) not in taken] for of, days in self.asked.items()}
        return {of: days for of, days in left.items() if days}


def survey(client: DagsterClient, ledger: Ledger, days: Days) -> Survey:
    """One look at Dagster's unfinished runs and backfills, then at leases and audit: what ends in between is not free."""
    asked = {(of, d) for of, those in days.items() for d in those}
    if not asked:
        return Survey(days, {}, {})
    every = sorted({d for _, d in asked})
    at_work = _at_work(client, ledger, days.keys(), every)
    done = _done(ledger, Window(every[0], every[-1] + ONE_DAY))
    return Survey(
        days,
        {at: by for at, by in at_work.items() if at in asked},
        {at: when for at, when in done.items() if at in asked},
    )


def _at_work(client: DagsterClient, ledger: Ledger, wanted: Iterable[Of], days: Collection[date]) -> dict[At, str]:
    """By the most telling name: a run's, else its backfill's, else that of the run whose lease has outlived it."""
    keys = keys_of(wanted)
    found: dict[At, str] = {}
    for backfill in client.unfinished_backfills():
        found |= dict.fromkeys(_left_of(client, backfill, keys, days), f"backfill {backfill.backfill_id}")
    for run in client.unfinished_runs():
        found |= dict.fromkeys(days_of_run(run, keys), f"run {run.run_id} ({run.status})")
    leases = {(h.of, d): f"run {h.run_id} (it holds the lease)" for h in held(ledger) for d in h.days}
    return leases | found


def _left_of(
    client: DagsterClient, backfill: Unfinished, keys: Mapping[tuple[str, ...], Of], days: Collection[date]
) -> Iterator[At]:
    """Days of each asset that no run of this backfill has ended for; all days where Dagster can't say which it has.

    Dagster launches a day once: what its run left behind is the retries', while the backfill goes on with other customers.
    """
    mine = backfill.keys & keys.keys()
    if not mine:
        return
    targeted = client.targeted(backfill.backfill_id, mine)
    over = {at for run in client.ended_runs(backfill.backfill_id) for at in days_of_run(run, keys)}
    for key, those in targeted.items():
        yield from ((keys[key], d) for d in (days if those is None else those) if (keys[key], d) not in over)


def _done(ledger: Ledger, window: Window) -> dict[At, datetime]:
    """A day that was deleted, or failed, after it was proved right is not done: its verdict is an old one.

    A run that was cancelled before its delete has touched nothing.
    """
    good = {(p.of, p.day): p.recorded_at for p in proved(ledger, window) if p.verdict.is_good}
    emptied = {(Of(e.cluster, e.customer, e.dataset), day) for e in ledger.emptied() for day in e.window.days}
    failed = {
        at
        for at, s in read_failed_days(ledger).items()
        if at in good and s.is_newer_than(good[at]) and s.last.ended is not Ended.CANCELLED
    }
    return {at: when for at, when in good.items() if at not in emptied | failed}


def keys_of(wanted: Iterable[Of]) -> dict[tuple[str, ...], Of]:
    """By the path of each one's asset key."""
    return {(of.dataset, of.cluster, of.customer): of for of in wanted}


def days_of_run(run: RunState, keys: Mapping[tuple[str, ...], Of]) -> Iterator[At]:
    for key in run.keys & keys.keys():
        yield from ((keys[key], day) for day in days_of(run.tags))
