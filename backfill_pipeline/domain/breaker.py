"""When a cluster is stopped: most of its last windows failed, and more of them would only hurt it. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from backfill_pipeline.domain.retries import Ended, Of, Outcome

LEAST = 20  # fewer windows say nothing about a cluster
REMEMBERED = 40
RECENT = timedelta(hours=24)  # what was long ago says nothing either: runs of months are read where a cursor was lost


@dataclass(frozen=True)
class WindowEnd:
    """window: whose it is, and its first day. at: seconds since the epoch."""

    window: str
    failed: bool
    at: float


Ends = Mapping[str, Sequence[WindowEnd]]
"""Cluster -> how its last windows ended, each once however often it was tried, oldest first."""


def remembered(known: Ends, outcomes: Iterable[Outcome]) -> dict[str, tuple[WindowEnd, ...]]:
    """With these ends. A cancelled window says nothing; one that is tried again and again says what its last try says."""
    ends = {cluster: {e.window: e for e in of} for cluster, of in known.items()}
    for cluster, end in _ends(outcomes):
        of = ends.setdefault(cluster, {})
        if end.window not in of or of[end.window].at <= end.at:
            of[end.window] = end
    return {c: tuple(sorted(of.values(), key=lambda e: e.at)[-REMEMBERED:]) for c, of in ends.items()}


def _ends(outcomes: Iterable[Outcome]) -> Iterator[tuple[str, WindowEnd]]:
    """A run that did some of its days has failed."""
    runs: dict[tuple[Of, str], list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.ended in (Ended.DONE, Ended.FAILED):
            runs.setdefault((outcome.of, outcome.run_id), []).append(outcome)
    for (of, _), told in runs.items():
        failed = any(o.ended is Ended.FAILED for o in told)
        first = min(d for o in told for d in o.days)
        at = max(o.ended_at for o in told).timestamp()
        yield of.cluster, WindowEnd(f"{of.dataset}/{of.customer}/{first}", failed, at)


def is_failing(ends: Sequence[WindowEnd], since: float = 0.0) -> str | None:
    """Why the cluster must stop; None if it need not.

    Args:
        since: the later of when it was resumed the last time and `RECENT`; what ended before is forgotten.
    """
    counted = [e for e in ends if e.at > since]
    failed = sum(e.failed for e in counted)
    if len(counted) < LEAST or 2 * failed <= len(counted):
        return None
    return f"{failed} of its last {len(counted)} windows failed"
