"""What a launch would do, as data for people and programs; what is not known is None, never 0."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backfill_pipeline.domain.pace import side_by_side
from backfill_pipeline.domain.status import Unasked


@dataclass(frozen=True)
class PlannedDelete:
    """statement: sent to every shard. survivors: counts what it must have removed."""

    table: str
    statement: str
    survivors: str


@dataclass(frozen=True)
class PlannedJob:
    """manifest: only where it was asked for; values of env that its template gives as plain text are `***`."""

    name: str
    cronjob: str
    days: str
    env: Mapping[str, str]
    deadline_seconds: float
    manifest: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class PlannedWindow:
    """One run. refusals: why a launch would refuse it now. unknown: why it could not be planned.

    rows: of the source, to be written again. bytes: of these by what a row takes in the target now. seconds: of the run,
    by its customer's newest windows. marker, attempt_id: as they would be drawn now; a launch draws its own.
    """

    cluster: str
    customer: str
    dataset: str
    days: str
    refusals: tuple[str, ...] = ()
    unknown: str | None = None
    rows: int | None = None
    rows_now: int | None = None
    uncompressed_bytes: int | None = None
    compressed_bytes: int | None = None
    seconds: float | None = None
    marker: datetime | None = None
    attempt_id: str | None = None
    ends_earlier: int = 0
    deletes: tuple[PlannedDelete, ...] = ()
    jobs: tuple[PlannedJob, ...] = ()

    @property
    def goes(self) -> bool:
        return not self.refusals and self.unknown is None


@dataclass(frozen=True)
class PlannedCluster:
    """Sums over the windows that would go. seconds: with `max_runs` at once, and one at a time of a customer.

    paused: why nothing starts there now.
    """

    cluster: str
    windows: int
    refused: int
    unknown: int
    jobs: int
    rows: int | None
    uncompressed_bytes: int | None
    compressed_bytes: int | None
    seconds: float | None
    max_runs: int
    paused: str | None = None


@dataclass(frozen=True)
class Forecast:
    asked_at: datetime
    first_day: str
    last_day: str
    clusters: tuple[PlannedCluster, ...]
    windows: tuple[PlannedWindow, ...]
    unasked: tuple[Unasked, ...]

    @property
    def is_unanswered(self) -> bool:
        """Whether no window at all could be planned because nobody answered."""
        return bool(self.unasked) and all(w.unknown for w in self.windows)


def cluster_sum(
    cluster: str, windows: Sequence[PlannedWindow], max_runs: int, paused: str | None = None
) -> PlannedCluster:
    going = [w for w in windows if w.goes]
    unknown = sum(w.unknown is not None for w in windows)
    seconds = side_by_side(((w.customer, w.seconds) for w in going), max_runs)
    return PlannedCluster(
        cluster=cluster,
        windows=len(windows),
        refused=sum(bool(w.refusals) for w in windows),
        unknown=unknown,
        jobs=sum(len(w.jobs) for w in going),
        rows=None if unknown else _sum(w.rows for w in going),
        uncompressed_bytes=None if unknown else _sum(w.uncompressed_bytes for w in going),
        compressed_bytes=None if unknown else _sum(w.compressed_bytes for w in going),
        seconds=None if unknown else seconds,
        max_runs=max_runs,
        paused=paused,
    )


def _sum(amounts: Iterable[int | None]) -> int | None:
    known = list(amounts)
    return None if None in known else sum(a for a in known if a is not None)
