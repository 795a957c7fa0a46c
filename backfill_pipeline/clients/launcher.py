"""The small interface behind which Jobs are started: here as subprocesses, on a cluster as Kubernetes Jobs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.domain.plans import Launch


class JobState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    GONE = "gone"  # deleted, or never made: its outcome is unknown, which is neither good nor bad

    @property
    def is_over(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.GONE)


@dataclass(frozen=True)
class JobHandle:
    """Enough to find the Job again from any process. adopted: it existed before this call."""

    name: str
    adopted: bool = False


@dataclass(frozen=True)
class JobStatus:
    """is_stuck: it is pending, and what it waits for, such as an image, does not come by itself."""

    state: JobState
    exit_code: int | None = None
    reason: str = ""
    is_stuck: bool = False


class Launcher(Protocol):
    def ensure(self, launch: Launch) -> JobHandle:
        """Make the Job from its CronJob's template, or adopt the one of that name if its labels are the same.

        Raises:
            PipelineError: MISSING CronJob; REFUSED, a Job of that name is somebody else's.
        """
        ...

    def check(self, launch: Launch) -> None:
        """Return if `ensure` would make the Job, or adopt it, and it may be followed and ended; nothing is made.

        Raises:
            PipelineError: what `ensure` would raise; STOP, a right that is needed after it is missing.
        """
        ...

    def manifest(self, launch: Launch) -> dict[str, Any]:
        """The Job that `ensure` would make, as a manifest to be shown; nothing is made.

        What its template gives as plain text is masked: it may be a secret.

        Raises:
            PipelineError: MISSING CronJob.
        """
        ...

    def status(self, name: str) -> JobStatus:
        """How it goes. A Job of which only sidecars go on is ended with it: its task's outcome is its own."""
        ...

    def resume(self, name: str) -> None:
        """Start a pending Job whose launcher died before it could; nothing where the cluster starts it by itself."""
        ...

    def log(self, name: str) -> Iterator[str]:
        """The lines written so far, from the first; an empty log is no error."""
        ...

    def log_error(self, name: str) -> PipelineError | None:
        """Why no more of the log is read, after `log` was asked for, where that does not pass: a right that is missing, or
        the Job was over before the end of its log came.

        It is no end of the Job, and so `log` gives what it has: who follows says it, and goes on without the log.
        """
        ...

    def cancel(self, name: str, *, deadline_seconds: float = 15) -> None:
        """End the Job and wait until its process is gone. One that is over, or not there, is left alone.

        Raises:
            PipelineError: it is still there at the deadline; REFUSED, it is none that this project made.
        """
        ...

    def where(self, name: str) -> str:
        """How a person looks at the Job's log."""
        ...

    def close(self) -> None:
        """Lets go of connections; the Jobs go on."""
        ...


def tail(lines: Sequence[str], count: int = 12) -> str:
    return "\n".join(lines[-count:])
