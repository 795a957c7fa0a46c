"""The end, proved: both sides of every day read anew, and every struck customer struck as it was meant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from backfill_pipeline.config import Config
from backfill_pipeline.defs import tags
from backfill_pipeline.domain.datasets import CONVERSATIONS
from backfill_pipeline.domain.verdicts import Verdict
from backfill_pipeline.steps.systems import Systems, open_systems
from backfill_pipeline.steps.verify import find_doubled, verify
from benchmarks.january.operator import runs_of_customer
from benchmarks.january.rivals import Rival
from benchmarks.january.story import Kind, Story, Struck

# Temporal's and PostgreSQL's own words: what only resembles them is not what was asked for.
SAID = {Kind.STALL: "TIMEOUT_TYPE_HEARTBEAT", Kind.DEADLOCK: "deadlock detected"}


@dataclass(frozen=True)
class Proved:
    """equal: cluster -> days whose rows agree by fingerprint. doubled: ids with more than one row."""

    equal: Mapping[str, int]
    doubled: int


def proved(config: Config, story: Story) -> Proved:
    equal, doubled = {}, 0
    for cluster, customers in story.customers.items():
        systems = open_systems(config, cluster, lambda _: None)
        try:
            found = [_days(systems, story, customer) for customer in customers]
        finally:
            systems.close()
        equal[cluster] = sum(days for days, _ in found)
        doubled += sum(ids for _, ids in found)
    return Proved(equal, doubled)


def _days(systems: Systems, story: Story, customer: str) -> tuple[int, int]:
    """Days that match (one that is empty on both sides would prove nothing), and ids with two rows."""
    of = (CONVERSATIONS.name, customer, systems.cluster.customer(customer).profiles, story.window)
    matching = sum(d.verdict is Verdict.MATCH for d in verify(systems, *of).days)
    return matching, sum(d.ids for d in find_doubled(systems, *of))


def not_as_meant(records: Sequence[dg.RunRecord], rivals: Sequence[Rival]) -> Iterator[str]:
    """A fault that struck nobody would prove nothing, and a cause by another name would mislead whoever reads it."""
    for rival in rivals:
        record = first_failed(records, rival.struck)
        said = record.dagster_run.tags.get(tags.EVIDENCE, "") if record else "no such run"
        if SAID[rival.struck.fault.kind] not in said:
            yield f"{rival.name}, {rival.strikes} strikes: expected {rival.struck.fault.cause}, found {said}"


def _failed(records: Sequence[dg.RunRecord], struck: Struck) -> list[dg.RunRecord]:
    theirs = runs_of_customer(records, (struck.cluster, struck.customer))
    return [r for r in theirs if r.dagster_run.status is dg.DagsterRunStatus.FAILURE]


def first_failed(records: Sequence[dg.RunRecord], struck: Struck) -> dg.RunRecord | None:
    """The first run that the fault ended."""
    of_cause = [r for r in _failed(records, struck) if r.dagster_run.tags.get(tags.CAUSE) == struck.fault.cause]
    return next(iter(of_cause), None)
