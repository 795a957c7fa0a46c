"""When a cluster is stopped: most of its last windows failed, and more of them would only hurt it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from backfill_pipeline.domain.retries import Ended, Outcome

LEAST = 20  # fewer windows say nothing about a cluster
REMEMBERED = 40  # what was long ago says nothing either


@dataclass(frozen=True)
class WindowEnd:
    """at: seconds since the epoch."""

    run_id: str
    failed: bool
    at: float


Ends = Mapping[str, Sequence[WindowEnd]]
"""Cluster -> how its last windows ended, oldest first."""


def remembered(known: Ends, outcomes: Iterable[Outcome]) -> dict[str, tuple[WindowEnd, ...]]:
    """With these ends; one that was told before is not counted twice, and a cancelled window says nothing."""
    ends = {cluster: {e.run_id: e for e in of} for cluster, of in known.items()}
    for outcome in outcomes:
        if outcome.ended in (Ended.DONE, Ended.FAILED):
            of = ends.setdefault(outcome.of.cluster, {})
            before = of.get(outcome.run_id)
            failed = outcome.ended is Ended.FAILED or (before is not None and before.failed)
            of[outcome.run_id] = WindowEnd(outcome.run_id, failed, outcome.ended_at.timestamp())
    return {c: tuple(sorted(of.values(), key=lambda e: e.at)[-REMEMBERED:]) for c, of in ends.items()}


def is_failing(ends: Sequence[WindowEnd], since: float = 0.0) -> str | None:
    """Why the cluster must stop; None if it need not.

    Args:
        since: when it was resumed the last time; what ended before is forgotten.
    """
    counted = [e for e in ends if e.at > since]
    failed = sum(e.failed for e in counted)
    if len(counted) < LEAST or 2 * failed <= len(counted):
        return None
    return f"{failed} of its last {len(counted)} windows failed"
