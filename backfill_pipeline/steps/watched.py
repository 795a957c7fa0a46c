"""What a run knows of a Job that it made and of the Job's executions; every look adds to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from backfill_pipeline.clients.launcher import JobState, JobStatus
from backfill_pipeline.clients.temporal import WorkflowState, WorkflowStatus
from backfill_pipeline.domain.contracts import Progress
from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.plans import Attempt
from backfill_pipeline.steps.earlier import may_write_for
from backfill_pipeline.steps.systems import Systems

STUCK_SECONDS = 120  # a registry that is away for a moment is no reason to give a Job up


@dataclass
class Watched:
    """A part of an attempt, and what is known of it so far: workflow id -> profile, and the last status of each.

    told: profile -> progress, from the log of a Job that does the work itself.
    waited_for: what the Job's pod lacked when it was last seen, if it never ran.
    unread: why the Job's log is not read, where that does not pass.
    has_others: its log names executions that are none of the attempt's.
    is_made: False, the Job was perhaps asked for, and nobody has answered yet.
    is_ended: False, nobody follows the Job any more and it may yet begin.
    """

    part: Attempt
    job_name: str
    profiles: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, WorkflowStatus] = field(default_factory=dict)
    told: dict[str, Progress] = field(default_factory=dict)
    job: JobStatus = field(default_factory=lambda: JobStatus(JobState.PENDING))
    waited_for: str = ""
    unread: str = ""
    has_others: bool = False
    is_made: bool = False
    is_ended: bool = True

    @property
    def is_over(self) -> bool:
        return self.job.state.is_over and not self.open_ones

    @property
    def open_ones(self) -> list[str]:
        return [i for i in self.profiles if not _is_closed(self.statuses.get(i))]

    @property
    def missing(self) -> list[str]:
        """Profiles of which no execution is known; none of a Job that does the work itself."""
        has_executions = DATASETS[self.part.dataset].workflow is not None
        return sorted(set(self.part.profiles) - set(self.profiles.values())) if has_executions else []

    @property
    def progress(self) -> list[Progress | None]:
        return [*self.told.values(), *(s.progress for s in self.statuses.values())]


@dataclass
class Patience:
    """With a Job that every look finds stuck."""

    since: float | None = None

    def is_over(self, job: JobStatus, now: float) -> bool:
        if not job.is_stuck:
            self.since = None
            return False
        self.since = now if self.since is None else self.since
        return now - self.since >= STUCK_SECONDS


def look_at_executions(systems: Systems, watched: Watched) -> None:
    for workflow_id in watched.open_ones:
        watched.statuses[workflow_id] = systems.temporal.status(workflow_id)


def mark_ended(systems: Systems, seen: Sequence[Watched]) -> None:
    """Of an attempt whose parts these are. One execution that nobody knows may be at work: the next run looks again.

    An execution that closed may have left a transfer at work: who comes before that is over waits for it (trap T3).
    """
    if not all(w.is_made and w.is_ended and not w.missing for w in seen):
        return
    left = may_write_for(status for watched in seen for status in watched.statuses.values())
    systems.ledger.mark_ended(seen[0].part, after_seconds=left)


def _is_closed(status: WorkflowStatus | None) -> bool:
    return status is not None and status.state is not WorkflowState.RUNNING
