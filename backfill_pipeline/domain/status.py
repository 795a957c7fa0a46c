"""How the clusters are doing: what was gathered, and what it adds up to. Pure; what was not told is None, never 0."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from backfill_pipeline.domain.pace import Pace
from backfill_pipeline.domain.retries import DayState, Of, Policy
from backfill_pipeline.domain.retrying import Sensor
from backfill_pipeline.domain.verdicts import Verdict
from backfill_pipeline.domain.windows import Window

# What was gathered.


@dataclass(frozen=True)
class Proved:
    """The newest verdict of a day, and the rows that its target held then."""

    of: Of
    day: date
    verdict: Verdict
    rows: int
    recorded_at: datetime


@dataclass(frozen=True)
class Held:
    """Days under a lease that has not ended: their run is at work."""

    of: Of
    days: tuple[date, ...]
    attempt_id: str
    run_id: str
    since: datetime


@dataclass(frozen=True)
class Gone:
    """Days whose delete was submitted, and of which no verdict says that they are there again."""

    of: Of
    days: tuple[date, ...]
    attempt_id: str
    since: datetime


@dataclass(frozen=True)
class Paused:
    """A cluster on which nothing starts. is_stopped: by the pipeline itself."""

    cluster: str
    is_stopped: bool
    why: str
    by_whom: str
    since: datetime


@dataclass(frozen=True)
class LedgerView:
    """What the ledger said, all of one moment."""

    proved: tuple[Proved, ...] = ()
    held: tuple[Held, ...] = ()
    emptied: tuple[Gone, ...] = ()
    failed: tuple[DayState, ...] = ()
    paused: tuple[Paused, ...] = ()
    paces: Mapping[Of, Pace] = field(default_factory=dict)


@dataclass(frozen=True)
class OpenExecution:
    """An open workflow. customer, profile, days, attempt_id: of its input; None where that is not of our form."""

    workflow_id: str
    type: str
    started_at: datetime
    customer: str | None = None
    profile: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    attempt_id: str | None = None
    done: int | None = None
    total: int | None = None
    attempt: int = 0
    last_heartbeat: datetime | None = None
    failure: str = ""


@dataclass(frozen=True)
class DagsterRun:
    """A run that waits or works; of: the datasets' assets that it makes. is_ending: somebody cancelled it."""

    run_id: str
    is_queued: bool
    of: tuple[Of, ...]
    is_ending: bool = False


@dataclass(frozen=True)
class Launched:
    """A backfill that has no run yet of the days that it was launched for. days: how many; None where it does not say."""

    backfill_id: str
    at: datetime
    of: tuple[Of, ...]
    days: int | None


@dataclass(frozen=True)
class Unasked:
    """A system that did not answer, or that nobody knows the way to; cluster: None where it is no cluster's."""

    system: str
    cluster: str | None
    why: str


@dataclass(frozen=True)
class Chosen:
    """What is looked at: the assets of a cluster, and which days of theirs there are (None: none yet).

    window_days: customer -> days of one run.
    """

    cluster: str
    assets: tuple[Of, ...]
    window: Window | None
    max_runs: int
    window_days: Mapping[str, int]


@dataclass(frozen=True)
class Signals:
    """ledger, runs, launched: None where they were not told. open: per cluster that answered. cut: as of `Status`.

    asked_sensor: whether Dagster was asked for the retry sensor; sensor: None where it has none.
    held: attempt ids that the ledger knows -> whether their lease is good; None where it was not told.
    """

    now: datetime
    policy: Policy
    chosen: tuple[Chosen, ...]
    ledger: LedgerView | None
    runs: tuple[DagsterRun, ...] | None
    open: Mapping[str, tuple[OpenExecution, ...]]
    attempts: Mapping[str, bool] | None
    unasked: tuple[Unasked, ...] = ()
    launched: tuple[Launched, ...] | None = None
    asked_sensor: bool = False
    sensor: Sensor | None = None
    cut: tuple[str, ...] = ()


# What it adds up to.


class Standing(StrEnum):
    """Whose an open execution is."""

    FOLLOWED = "followed by its run"
    LEFT = "left by a run that is over"
    FOREIGN = "not known to Dagster"
    UNKNOWN = "unknown: the ledger was not told"


class Trouble(StrEnum):
    """Why somebody should look, most urgent first."""

    EMPTIED = "emptied"
    RETRIES = "retries"  # the sensor that tries failed days again does not
    QUARANTINED = "quarantined"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True)
class DayCounts:
    """Each day of each customer and dataset is in exactly one of these."""

    done: int = 0
    running: int = 0
    failed: int = 0
    cancelled: int = 0
    quarantined: int = 0
    emptied: int = 0
    left: int = 0

    def __add__(self, other: "DayCounts") -> "DayCounts":
        return DayCounts(**{n: v + getattr(other, n) for n, v in vars(self).items()})


@dataclass(frozen=True)
class ClusterStatus:
    """rows: of the days that are done. rows_per_second: of one run while it writes, by the newest windows.

    seconds_left: until no day is missing, by those windows and `max_runs` at once. heartbeat_age_seconds: of the open
    execution that has been silent for longest; since its start if it never beat. never_beat: executions of that kind.
    """

    cluster: str
    customers: int
    first_day: date | None
    last_day: date | None
    days: DayCounts | None
    rows: int | None
    rows_per_second: float | None
    seconds_left: float | None
    open_executions: int | None
    heartbeat_age_seconds: float | None
    never_beat: int | None
    queued_runs: int | None
    started_runs: int | None
    diagnosis: str


@dataclass(frozen=True)
class Attention:
    """A customer, or a whole cluster, that somebody should look at. due_at: when it is tried again by itself.

    customer, dataset: None for a cluster; cluster: None for all. count: days. command: what mends it, once its cause is
    mended.
    """

    trouble: Trouble
    cluster: str | None
    customer: str | None
    dataset: str | None
    days: tuple[str, ...]
    count: int
    why: str
    due_at: datetime | None = None
    command: str | None = None


@dataclass(frozen=True)
class Running:
    """A window that a run works on. done, total: of `unit`, by the heartbeats of its executions.

    is_ending: somebody cancelled the run; None where Dagster was not asked. heartbeat_age_seconds, never_beat: as of a cluster.
    """

    cluster: str
    customer: str
    dataset: str
    days: tuple[str, ...]
    run_id: str
    attempt_id: str
    since: datetime
    is_emptied: bool
    executions: int | None
    unit: str
    done: int | None
    total: int | None
    per_second: float | None
    seconds_left: float | None
    heartbeat_age_seconds: float | None
    is_ending: bool | None = None
    never_beat: int | None = None


@dataclass(frozen=True)
class Stranger:
    """An open execution that no run follows. heartbeat_age_seconds: since its start if it never beat."""

    cluster: str
    workflow_id: str
    type: str
    customer: str | None
    profile: str | None
    range: str | None
    standing: Standing
    started_at: datetime
    done: int | None
    total: int | None
    heartbeat_age_seconds: float | None
    never_beat: bool = False


@dataclass(frozen=True)
class Status:
    """launched: backfills that have no run yet of their days. cut: which days that were asked for are not there, and why."""

    asked_at: datetime
    clusters: tuple[ClusterStatus, ...]
    attention: tuple[Attention, ...]
    running: tuple[Running, ...]
    strangers: tuple[Stranger, ...]
    unasked: tuple[Unasked, ...]
    launched: tuple[Launched, ...] = ()
    cut: tuple[str, ...] = ()

    @property
    def is_unanswered(self) -> bool:
        """Whether nobody at all said anything."""
        answers = (a for c in self.clusters for a in (c.days, c.queued_runs, c.open_executions))
        return bool(self.unasked) and all(a is None for a in answers)


def standing(execution: OpenExecution, attempts: Mapping[str, bool] | None) -> Standing:
    if execution.attempt_id is None:
        return Standing.FOREIGN
    if attempts is None:
        return Standing.UNKNOWN
    if execution.attempt_id not in attempts:
        return Standing.FOREIGN
    return Standing.FOLLOWED if attempts[execution.attempt_id] else Standing.LEFT
