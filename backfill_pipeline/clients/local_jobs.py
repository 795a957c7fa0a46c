"""Jobs as subprocesses of this machine: the CronJob manifest's command with the window's env, log and exit code kept.

A Job is a folder. Whoever wants it calls for a runner; a runner works only if it gets the folder's lock and the Job has
not been started before, so any number of launchers, also after a kill, make one process. Like a Kubernetes Job it
outlives its launcher.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from backfill_pipeline.clients.kubernetes.manifest import job_of, masked
from backfill_pipeline.clients.launcher import JobHandle, JobState, JobStatus
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.masking import MASK
from backfill_pipeline.domain.plans import Launch


class LocalJobs:
    """The Launcher of the embedded stack.

    Args:
        manifests: folder of CronJob manifests, `<cronjob>.yaml`.
        jobs: folder that keeps a folder per Job.
        environment: added to every Job's env, as a cluster's own settings would be (cluster name, addresses).
    """

    def __init__(self, manifests: Path, jobs: Path, environment: Mapping[str, str]) -> None:
        self._manifests, self._jobs = manifests, jobs
        self._environment = dict(environment)

    def ensure(self, launch: Launch) -> JobHandle:
        folder, spec = self._jobs / launch.job_name, self._spec(launch)
        adopted = not _create(folder, spec)
        if adopted:
            _refuse_foreign(folder, spec)
        self.resume(launch.job_name)
        return JobHandle(launch.job_name, adopted)

    def check(self, launch: Launch) -> None:
        folder, spec = self._jobs / launch.job_name, self._spec(launch)
        if (folder / "spec.json").exists():
            _refuse_foreign(folder, spec)

    def manifest(self, launch: Launch) -> dict[str, Any]:
        tree = _cronjob(self._manifests / f"{launch.cronjob}.yaml", launch.cronjob)
        return job_of(masked(tree), replace(launch, env={**dict.fromkeys(self._environment, MASK), **launch.env}))

    def resume(self, name: str) -> None:
        if self.status(name).state is JobState.PENDING:
            _call_runner(self._jobs / name)

    def status(self, name: str) -> JobStatus:
        folder = self._jobs / name
        if not (folder / "spec.json").exists():
            return JobStatus(JobState.GONE, reason=f"no folder {folder}")
        is_running = _is_locked(folder)  # asked before the exit code: a Job may end in between
        if (folder / "exit_code").exists():
            code = int((folder / "exit_code").read_text())
            return JobStatus(JobState.FAILED if code else JobState.SUCCEEDED, code, f"exit code {code}")
        if is_running:
            return JobStatus(JobState.RUNNING)
        if (folder / "pid").exists():
            return JobStatus(JobState.FAILED, None, "its process was killed before it could say how it ended")
        return JobStatus(JobState.PENDING)

    def log(self, name: str) -> Iterator[str]:
        try:
            with (self._jobs / name / "log").open(encoding="utf-8", errors="replace") as lines:
                yield from (line.rstrip("\n") for line in lines)
        except FileNotFoundError:
            return

    def log_error(self, name: str) -> PipelineError | None:
        """A file of this machine, which whoever made the Job may read."""
        return None

    def cancel(self, name: str, *, deadline_seconds: float = 15) -> None:
        folder = self._jobs / name
        if self.status(name).state is JobState.PENDING:
            (folder / "exit_code").write_text("143")  # a runner that comes late finds it over
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if not _is_locked(folder) or self._ended(folder, sign, deadline_seconds / 2):
                return
        raise PipelineError(
            f"The Job {name} does not end",
            where=str(folder),
            why=f"its process is there {deadline_seconds:.0f} s after SIGTERM and SIGKILL",
            next_step=f"end the process of {folder / 'pid'} by hand, then rerun",
            kind=Kind.RETRY,
        )

    def where(self, name: str) -> str:
        return str(self._jobs / name / "log")

    def close(self) -> None:
        """Nothing is held between two calls."""

    def _ended(self, folder: Path, sign: signal.Signals, seconds: float) -> bool:
        _signal(folder, sign)
        return _until(lambda: not _is_locked(folder), seconds)

    def _spec(self, launch: Launch) -> dict[str, Any]:
        container = _usable(self._manifests / f"{launch.cronjob}.yaml", launch.cronjob)
        # A value from elsewhere (secretKeyRef) is this process's own variable here, so it is left alone.
        env = {e["name"]: str(e.get("value", "")) for e in container.get("env", []) if "valueFrom" not in e}
        return {
            "command": [*container["command"], *container.get("args", [])],
            "env": {**env, **self._environment, **launch.env},
            "labels": dict(launch.labels),
            "annotations": dict(launch.annotations),
            "deadline_seconds": launch.deadline_seconds,
        }


def _usable(manifest: Path, cronjob: str) -> dict[str, Any]:
    """The container of a CronJob from which a Job may be made."""
    spec = _cronjob(manifest, cronjob)["spec"]
    container = dict(spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0])
    if spec.get("suspend"):
        raise _unusable(cronjob, manifest, "the CronJob is suspended")
    if spec["jobTemplate"]["spec"].get("suspend"):
        raise _unusable(cronjob, manifest, "its Jobs begin suspended (jobTemplate.spec.suspend)")
    if not container.get("command"):
        raise _unusable(cronjob, manifest, "its container has no command, and there is no image here that has one")
    return container


def _cronjob(manifest: Path, cronjob: str) -> dict[str, Any]:
    """The manifest, which has a container."""
    try:
        tree = dict(yaml.safe_load(manifest.read_text(encoding="utf-8")))
        dict(tree["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0])
    except (OSError, yaml.YAMLError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise _unusable(cronjob, manifest, f"{type(error).__name__}: {error}") from None
    return tree


def _unusable(cronjob: str, manifest: Path, why: str) -> PipelineError:
    return PipelineError(
        f"The CronJob {cronjob} can't be used",
        where=str(manifest),
        why=why,
        next_step="correct `launcher.manifests` or the manifest, then rerun",
        kind=Kind.MISSING,
    )


def _create(folder: Path, spec: Mapping[str, Any]) -> bool:
    """True if this call made the Job; link() is atomic, so of many callers one does."""
    folder.mkdir(parents=True, exist_ok=True)
    mine = folder / f".spec.{os.getpid()}.{time.monotonic_ns()}"
    mine.write_text(json.dumps(spec, indent=1))
    try:
        os.link(mine, folder / "spec.json")
        return True
    except FileExistsError:
        return False
    finally:
        mine.unlink()


def _refuse_foreign(folder: Path, spec: Mapping[str, Any]) -> None:
    if _read(folder)["labels"] != spec["labels"]:
        raise Refused(
            f"A Job named {folder.name} exists and is not ours",
            where=str(folder),
            why="its labels are not those of this attempt",
            next_step="look whose it is; remove it if nobody needs it, then rerun",
        )


def _read(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "spec.json").read_text()))


def _call_runner(folder: Path) -> None:
    """Start a runner in a session of its own; -I -S: it needs only the standard library and starts in 20 ms."""
    runner = Path(__file__).with_name("local_job_runner.py")
    with (folder / "runner.log").open("ab") as errors:
        subprocess.Popen(
            [sys.executable, "-I", "-S", str(runner), str(folder), sys.executable],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
    _until(lambda: (folder / "pid").exists() or (folder / "exit_code").exists(), 10)


def _is_locked(folder: Path) -> bool:
    """The runner holds the lock for as long as its command lives, also the child that inherits it."""
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def _signal(folder: Path, sign: signal.Signals) -> None:
    try:
        os.killpg(int((folder / "pid").read_text()), sign)
    except (FileNotFoundError, ProcessLookupError):
        return


def _until(is_true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
