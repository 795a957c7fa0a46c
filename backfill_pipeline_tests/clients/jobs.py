"""A folder of Jobs whose CronJob runs whatever a test wants; everything that is still running is ended afterwards."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from backfill_pipeline.clients.launcher import JobState, JobStatus
from backfill_pipeline.clients.local_jobs import LocalJobs
from backfill_pipeline.domain.plans import Launch

CRONJOB = "cron-made-up"
LABELS = {"backfill-pipeline/attempt": "1", "backfill-pipeline/dataset": "conversations"}


def wait_for(is_true: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"{what} did not come true within {seconds} s"
        time.sleep(0.02)


def a_launch(name: str = "job-1", *, deadline_seconds: float = 60, **changes: Any) -> Launch:
    fields: dict[str, Any] = {"cronjob": CRONJOB, "env": {}, "labels": LABELS, "annotations": {}, **changes}
    return Launch(job_name=name, deadline_seconds=deadline_seconds, **fields)


def a_manifest(command: list[str] | None, env: list[dict[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
    container = {"name": "task", "env": env or []} | ({"command": command} if command is not None else {})
    job = {"template": {"spec": {"containers": [container]}}}
    return {"kind": "CronJob", "spec": {**spec, "jobTemplate": {"spec": job}}}


@dataclass
class Folder:
    """One place for manifests and Jobs, as several launchers would share it."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def manifest(self) -> Path:
        return self.root / "manifests" / f"{CRONJOB}.yaml"

    def job(self, name: str = "job-1") -> Path:
        return self.root / "jobs" / name

    def launcher(self) -> LocalJobs:
        return LocalJobs(self.root / "manifests", self.root / "jobs", self.environment)

    def runs(self, script: str, **manifest: Any) -> LocalJobs:
        """A launcher whose CronJob runs a shell script; `exec` makes the last command the Job's own process."""
        return self.has(a_manifest(["sh", "-c", script], **manifest))

    def has(self, manifest: Any) -> LocalJobs:
        self.manifest.parent.mkdir(exist_ok=True)
        self.manifest.write_text(manifest if isinstance(manifest, str) else yaml.safe_dump(manifest))
        return self.launcher()

    def over(self, name: str = "job-1", seconds: float = 60) -> JobStatus:
        wait_for(lambda: self.launcher().status(name).state.is_over, f"the end of {name}", seconds)
        return self.launcher().status(name)

    def running(self, line: str = "started", name: str = "job-1") -> int:
        """Waits until the Job has written the line; gives the runner's id, which is its process group's too."""
        wait_for(lambda: line in self.launcher().log(name), f"{line} in the log of {name}")
        assert self.launcher().status(name).state is JobState.RUNNING
        return int((self.job(name) / "pid").read_text())

    def members(self, name: str = "job-1") -> list[int]:
        """Living processes of the Job's group."""
        group = int((self.job(name) / "pid").read_text())
        return [p for p in map(int, filter(str.isdigit, os.listdir("/proc"))) if lives(p) and _group_of(p) == group]

    def end_all(self) -> None:
        for pid in self.root.glob("jobs/*/pid"):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.killpg(int(pid.read_text()), signal.SIGKILL)


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def lives(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
