"""A window's plan as data: the dry run prints it, the run carries out the same one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from backfill_pipeline.domain import contracts, naming
from backfill_pipeline.domain.datasets import DATASETS, Dataset
from backfill_pipeline.domain.deletes import Delete, build_delete
from backfill_pipeline.domain.markers import Future
from backfill_pipeline.domain.strays import Stray
from backfill_pipeline.domain.windows import Window, rfc3339

LABEL = "backfill-pipeline"
NOTE_LENGTH = 1000  # letters, of 256 KiB that all annotations of a Job may have; the run's tag keeps the whole


@dataclass(frozen=True)
class Claim:
    """What one try at a window wants to touch, and in which run.

    notes: who asked, why, after how many retries; (name, text) pairs that the Jobs carry as annotations.
    """

    attempt_id: str
    run_id: str
    cluster: str
    customer: str
    profiles: tuple[str, ...]
    dataset: str
    window: Window
    notes: tuple[tuple[str, str], ...] = field(default=(), kw_only=True)


@dataclass(frozen=True)
class Attempt(Claim):
    """A claim that was granted: its marker is drawn, and its lease has a `fence`, which grows with every one taken.

    job_days: days of one Job; None, the whole window is one.
    jobs_at: where its Jobs are made, in words; None, it has come to none yet.
    """

    marker: datetime
    fence: int
    job_days: int | None = None
    jobs_at: str | None = None

    @property
    def parts(self) -> "tuple[Attempt, ...]":
        """The same attempt at the days of one Job after the other."""
        size = self.job_days or len(self.window.days)
        return tuple(replace(self, window=window, job_days=None) for window in self.window.split(size))

    def __str__(self) -> str:
        return f"{self.dataset} of {self.customer} on {self.cluster}, {self.window} (attempt {self.attempt_id})"


@dataclass(frozen=True)
class Launch:
    """A Job to be made from a CronJob's template. An existing one is adopted only if its labels are these."""

    job_name: str
    cronjob: str
    env: Mapping[str, str]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    deadline_seconds: float


@dataclass(frozen=True)
class Plan:
    """launches: one per part of the attempt, in their order."""

    deletes: tuple[Delete, ...]
    launches: tuple[Launch, ...]


@dataclass(frozen=True)
class PlanLimits:
    """longest: no conversation lasts longer. future: as in build_delete."""

    max_days: int
    job_deadline_seconds: float
    longest: timedelta
    future: Future | None = None


def plan_window(attempt: Attempt, limits: PlanLimits, strays: Mapping[str, Sequence[Stray]] | None = None) -> Plan:
    """What will be sent for this attempt: a delete per table for the whole window, with its strays, and its Jobs."""
    dataset = DATASETS[attempt.dataset]
    scope = (attempt.customer, attempt.profiles, attempt.window, attempt.marker)
    deletes = [
        build_delete(t, *scope, max_days=limits.max_days, future=limits.future, strays=(strays or {}).get(t.table, ()))
        for t in dataset.targets
    ]
    return Plan(_children_first(deletes), tuple(_launch(part, dataset, limits) for part in attempt.parts))


def _children_first(deletes: Sequence[Delete]) -> tuple[Delete, ...]:
    """Scores before scorecards before conversations: what is cut off half way is then never an orphan."""
    return tuple(reversed(deletes))


def _launch(attempt: Attempt, dataset: Dataset, limits: PlanLimits) -> Launch:
    identity = (attempt.dataset, attempt.cluster, attempt.customer, attempt.window, attempt.attempt_id)
    return Launch(
        job_name=naming.job_name(*identity),
        cronjob=dataset.cronjob,
        env={
            **dataset.env(attempt.window, attempt.customer, limits.longest),
            contracts.ENV_MARKER: rfc3339(attempt.marker),
            contracts.ENV_ATTEMPT_ID: attempt.attempt_id,
        },
        labels={
            "app.kubernetes.io/managed-by": LABEL,
            f"{LABEL}/attempt": attempt.attempt_id,
            f"{LABEL}/dataset": attempt.dataset,
        },
        annotations={  # not labels: an id such as `-a` is no label value
            f"{LABEL}/customer": attempt.customer,
            f"{LABEL}/run": attempt.run_id,
            f"{LABEL}/window": str(attempt.window),
            **{f"{LABEL}/{name}": _shortened(text) for name, text in attempt.notes},
        },
        deadline_seconds=limits.job_deadline_seconds,
    )


def _shortened(text: str) -> str:
    return f"{text[:NOTE_LENGTH]} …" if len(text) > NOTE_LENGTH else text
