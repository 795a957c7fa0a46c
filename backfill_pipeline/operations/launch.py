"""Launching: one Dagster backfill per cluster, of exactly the days that nobody is at work on."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from backfill_pipeline.clients.dagster import DagsterClient, RunState
from backfill_pipeline.config import Config
from backfill_pipeline.defs import tags
from backfill_pipeline.defs.assets import ready_key
from backfill_pipeline.defs.ended_runs import days_of
from backfill_pipeline.domain.guards import Approval, approving
from backfill_pipeline.domain.retries import Ended, Of
from backfill_pipeline.domain.windows import Window, windows_of
from backfill_pipeline.operations.select import refuse_no_partitions
from backfill_pipeline.report.amounts import counted
from backfill_pipeline.stores.failed_days import read_failed_days
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.progress import proved

Days = Mapping[Of, Sequence[date]]


@dataclass(frozen=True)
class Survey:
    """What is known of the days that somebody wants to launch.

    Args:
        at_work: day -> the run or backfill that has it.
        done: day -> when it was proved right, if nothing went wrong with it since.
    """

    wanted: tuple[Of, ...]
    window: Window
    at_work: Mapping[tuple[Of, date], str]
    done: Mapping[tuple[Of, date], datetime]

    def to_launch(self, *, again: bool) -> Days:
        """Days per asset that nobody is at work on; with `again` also those that are done."""
        taken = self.at_work.keys() if again else self.at_work.keys() | self.done.keys()
        left = {of: [d for d in self.window.days if (of, d) not in taken] for of in self.wanted}
        return {of: days for of, days in left.items() if days}


def survey(client: DagsterClient, ledger: Ledger, config: Config, wanted: Sequence[Of], window: Window) -> Survey:
    """One look at Dagster's unfinished runs and backfills and at the audit.

    Raises:
        Refused: the window has days that are no partition of a cluster.
    """
    refuse_no_partitions(config, wanted, window.days)
    at_work: dict[tuple[Of, date], str] = {}
    keys = keys_of(wanted)
    for backfill in client.unfinished_backfills():
        of_these = [keys[k] for k in backfill.keys & keys.keys()]
        days = window.days if backfill.days is None else sorted(backfill.days & set(window.days))
        at_work.update({(of, d): f"backfill {backfill.backfill_id}" for of in of_these for d in days})
    for run in client.unfinished_runs():
        at_work.update(dict.fromkeys(days_of_run(run, keys), f"run {run.run_id} ({run.status})"))
    return Survey(tuple(wanted), window, at_work, _done(ledger, window))


def _done(ledger: Ledger, window: Window) -> dict[tuple[Of, date], datetime]:
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


def days_of_run(run: RunState, keys: Mapping[tuple[str, ...], Of]) -> Iterator[tuple[Of, date]]:
    for key in run.keys & keys.keys():
        yield from ((keys[key], day) for day in days_of(run.tags))


@dataclass(frozen=True)
class How:
    """by, why: stand on every run, in the audit and on the Jobs. job_days: days of one Job at most; None, the pipeline decides.

    approved: what a guard would refuse, and is meant. skip_logs: the Jobs' logs are not read.
    """

    by: str
    why: str | None = None
    job_days: int | None = None
    approved: frozenset[Approval] = frozenset()
    skip_logs: bool = False

    @property
    def run_tags(self) -> dict[str, str]:
        given = {
            tags.LAUNCHED_BY: self.by,
            tags.WHY: self.why,
            tags.JOB_DAYS: str(self.job_days) if self.job_days else None,
            tags.SKIP_LOGS: "true" if self.skip_logs else None,
        }
        return {name: value for name, value in given.items() if value} | approving(self.approved)


def launch(client: DagsterClient, days: Days, how: How) -> Mapping[str, str]:
    """Cluster -> the backfill that was launched for it."""
    clusters = sorted({of.cluster for of in days})
    return {c: _launched(client, c, {o: d for o, d in days.items() if o.cluster == c}, how.run_tags) for c in clusters}


def _launched(client: DagsterClient, cluster: str, days: Days, run_tags: Mapping[str, str]) -> str:
    """With the gate, whose days are all of them: without it Dagster makes one run of all customers."""
    every = windows_of(d for those in days.values() for d in those)
    assets: dict[Sequence[str], Sequence[Window]] = {tuple(ready_key(cluster).path): every}
    assets |= {key: windows_of(days[of]) for key, of in keys_of(days).items()}
    title = f"{cluster}: {counted(len(days), 'asset')}, {every[0].days[0]} to {every[-1].days[-1]}"
    return client.launch_days(assets, title=title, tags=run_tags)
