"""What it took: runs, Jobs, retries by cause, how many workflows were open at once, memory."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import psutil
from temporalio.client import Client

from backfill_pipeline.config import Config, TemporalAddress, required
from backfill_pipeline.defs import tags
from backfill_pipeline.stack.processes import marked_with

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Workflow:
    workflow_id: str
    span: Span
    status: str


def workflows(config: Config) -> Mapping[str, Sequence[Workflow]]:
    """Every workflow of each cluster, as Temporal lists it."""
    return {c.name: asyncio.run(_listed(required(c.temporal, c.name, "temporal"))) for c in config.clusters}


async def _listed(address: TemporalAddress) -> list[Workflow]:
    client = await Client.connect(address.address, namespace=address.namespace)
    return [
        Workflow(w.id, (w.start_time, w.close_time or datetime.now(UTC)), w.status.name if w.status else "UNKNOWN")
        async for w in client.list_workflows("")
    ]


def peak(spans: Iterable[Span]) -> int:
    """The most that were open at once. Counted from their own starts and ends, so that nothing falls between two looks."""
    ends = sorted((moment, step) for start, end in spans for moment, step in ((start, 1), (end, -1)))
    open_now = most = 0
    for _, step in ends:
        open_now += step
        most = max(most, open_now)
    return most


def run_spans(records: Iterable[dg.RunRecord]) -> Iterable[Span]:
    for record in records:
        if record.start_time:
            end = record.end_time or datetime.now(UTC).timestamp()
            yield datetime.fromtimestamp(record.start_time, UTC), datetime.fromtimestamp(end, UTC)


def retries_by_cause(records: Sequence[dg.RunRecord]) -> Mapping[str, int]:
    """Why the runs failed that were then done again: each retry counts for the run that it is of."""
    causes = {r.dagster_run.run_id: r.dagster_run.tags.get(tags.CAUSE, "its process was killed") for r in records}
    retried = (r.dagster_run.tags.get(tags.RETRY_OF) for r in records)
    return dict(Counter(causes.get(run_id, "unknown") for run_id in retried if run_id))


def jobs(folder: Path) -> int:
    """Jobs that were made, by the folders of the local launcher."""
    return sum(1 for _ in folder.glob("*/*/spec.json"))


def gigabytes(stack_id: str) -> float:
    """Memory of all processes of the stack, its runs and Jobs, without what they share."""
    return sum(map(_unique, marked_with(stack_id))) / 2**30


def _unique(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return 0
