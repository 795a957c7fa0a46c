"""One backfill per cluster, launched as the UI does; and who of the customers has all days done."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg

from backfill_pipeline.clients.dagster import DagsterClient
from backfill_pipeline.config import Config
from backfill_pipeline.defs.ended_runs import ENDED
from backfill_pipeline.domain.datasets import CONVERSATIONS
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.domain.retries import DayState, given_up
from backfill_pipeline.stack.state import StackState
from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.failed_days import read_failed_days
from benchmarks.january.story import Story

POLL_SECONDS = 5.0
TELL_SECONDS = 30.0
ALL_RUNS = 100_000
UNFINISHED = [s for s in dg.DagsterRunStatus if s not in ENDED]

Say = Callable[[str], None]
Who = tuple[str, str]


def key_of(who: Who) -> dg.AssetKey:
    return dg.AssetKey([CONVERSATIONS.name, *who])


def launch(story: Story, state: StackState) -> Mapping[str, str]:
    """Cluster -> its backfill: the gate and all customers, all days."""
    client = DagsterClient(state.dagster_url or "")
    return {
        cluster: client.launch_backfill(
            [("ready", cluster), *((CONVERSATIONS.name, cluster, c) for c in ids)],
            story.window,
            title=f"january of {cluster}",
            tags={"launched_by": "january"},
        )
        for cluster, ids in story.customers.items()
    }


@dataclass
class Watch:
    """What is done so far. done: customers with every day materialized; by_hand: days that were given up."""

    story: Story
    config: Config
    instance: dg.DagsterInstance
    say: Say
    done: set[Who] = field(default_factory=set)
    by_hand: list[DayState] = field(default_factory=list)
    _seen: dict[str, datetime] = field(default_factory=dict)

    def until_over(self, deadline_seconds: float, on_poll: Callable[["Watch"], None]) -> bool:
        """True once every day of every customer is done; False where it never will be without a hand, or not in time."""
        begun = told = time.monotonic()
        while len(self.done) < len(self.story.everybody):
            unfinished = self._looked()
            on_poll(self)
            if time.monotonic() - begun > deadline_seconds or (not unfinished and self._is_given_up()):
                return False
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                self.say(f"{told - begun:.0f} s: {self._told(unfinished)}")
            time.sleep(POLL_SECONDS)
        return True

    def _looked(self) -> int:
        """Asks of customers anew of whom a run has ended; gives how many runs wait or work.

        A run may end twice: on a machine that is short of time Dagster gives it up, and its process does its days.
        """
        records = self.instance.get_run_records(dg.RunsFilter(statuses=list(ENDED)), limit=ALL_RUNS)
        news = [r for r in records if self._seen.get(r.dagster_run.run_id) != r.update_timestamp]
        fresh = [r.dagster_run for r in news]
        ended = {key for run in fresh for key in run.asset_selection or ()}
        for who in self.story.everybody:
            if key_of(who) in ended and self._has_all(who):
                self.done.add(who)
        self._seen |= {r.dagster_run.run_id: r.update_timestamp for r in news}
        return self.instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED))

    def _has_all(self, who: Who) -> bool:
        days = {str(d) for d in self.story.window.days}
        return days <= self.instance.get_materialized_partitions(key_of(who))

    def _is_given_up(self) -> bool:
        """Whether all that is missing waits for a person."""
        policy = self.config.limits.retry_policy
        try:
            states = read_failed_days(open_ledger(self.config)).values()
        except PipelineError:
            return False
        self.by_hand = [s for s in states if given_up(s, policy)]
        theirs = {(s.last.of.cluster, s.last.of.customer) for s in self.by_hand}
        return bool(theirs) and set(self.story.everybody) - self.done <= theirs

    def _told(self, unfinished: int) -> str:
        return f"{len(self.done)} of {len(self.story.everybody)} customers done, {unfinished} runs wait or work"


def runs_of(instance: dg.DagsterInstance, story: Story) -> Sequence[dg.RunRecord]:
    """Every run of the customers, oldest first; not the gates'."""
    keys = {key_of(who) for who in story.everybody}
    records = instance.get_run_records(limit=ALL_RUNS, ascending=True)
    return [r for r in records if keys & (r.dagster_run.asset_selection or set())]
