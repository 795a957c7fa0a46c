"""A stack in the foreground of a process of its own, as `make stack` runs it, for tests that kill it."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

from backfill_pipeline.stack.processes import PROJECT, marked_with
from backfill_pipeline.stack.state import FILE, StackState, last_state, running_stack

ONE_CLUSTER = {"clusters": [{"name": "north", "customers": [{"id": "acme", "profiles": ["default"]}]}]}
START_SECONDS = 180  # a busy machine
T = TypeVar("T")


@contextmanager
def stack_in_foreground(folder: Path, parts: str, *more: str) -> Iterator[subprocess.Popen[str]]:
    """Started, perhaps not ready yet; ended at exit whatever the test did with it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "one_cluster.json"
    config.write_text(json.dumps(ONE_CLUSTER))
    command = [sys.executable, "-m", "backfill_pipeline.stack", "--folder", folder, "--parts", parts]
    process = subprocess.Popen(
        [*map(str, command), "--config", str(config), *more],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=START_SECONDS)


def until(value: Callable[[], T | None], what: str, seconds: float = START_SECONDS) -> T:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = value()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def ready(folder: Path, process: subprocess.Popen[str]) -> StackState:
    def state() -> StackState | None:
        assert process.poll() is None, process.communicate()[0]
        return running_stack(folder)

    return until(state, "the stack is ready")


def left_of(state: StackState) -> list[psutil.Process]:
    recorded = [p for p in (i.process() for i in state.processes.values()) if p]
    return [*recorded, *marked_with(state.id)]


def end(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """All that it wrote; the caller looks at `process.returncode`."""
    process.send_signal(number)
    return process.communicate(timeout=START_SECONDS)[0]


def everything_written(folder: Path) -> dict[str, str]:
    """Text of every file that is no database: logs, configuration, state, Dagster's home."""
    files = [
        *folder.glob("logs/*"),
        *folder.glob("*.yaml"),
        *folder.glob("*.json"),
        *folder.glob("dagster_home/*.yaml"),
    ]
    assert folder / FILE in files
    return {str(f): f.read_text(errors="replace") for f in files}


def recorded_pids(folder: Path) -> dict[str, int]:
    state = last_state(folder)
    return state.pids if state else {}
