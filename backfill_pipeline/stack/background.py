"""A stack in a process of its own, which outlives the command that started it: `backfill demo --keep`."""

import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.stack.embedded_config import PARTS
from backfill_pipeline.stack.processes import PROJECT, tail
from backfill_pipeline.stack.state import StackState, last_state, running_stack
from backfill_pipeline.stack.supervisor import DEFINITIONS, START_SECONDS, STOP_SECONDS
from backfill_pipeline.stack.temporal import find_temporal
from backfill_pipeline.stack.watch import StartFailed

Say = Callable[[str], None]
POLL_SECONDS = 0.1


def start_in_background(
    folder: Path,
    *,
    config: Path | None = None,
    parts: Collection[str] = PARTS,
    definitions: str = DEFINITIONS,
    progress: Say = print,
    launcher: str = "local",
) -> StackState:
    """The stack of this folder, started if none runs; it goes on until `stop_in_background`.

    Args: as those of `Stack`.

    Raises:
        StartFailed: a part did not become ready; nothing is left running.
    """
    running = running_stack(folder)
    if running:
        return running
    if "temporal" in parts:
        find_temporal(progress)  # here, where the minutes of a first build are seen and Ctrl-C ends them
    command = [sys.executable, "-m", "backfill_pipeline.stack", "--folder", str(folder.resolve())]
    options = ["--parts", ",".join(sorted(parts)), "--definitions", definitions, "--launcher", launcher]
    with_config = ["--config", str(config.resolve())] if config else []
    return _until_ready(folder, _Supervisor([*command, *options, *with_config], folder), progress)


def stop_in_background(folder: Path, seconds: float = STOP_SECONDS) -> bool:
    """Ends the supervisor of this folder in good order and waits for it; False if none ran.

    Raises:
        PipelineError: it is still there after `seconds`.
    """
    state = last_state(folder.resolve())
    supervisor = state.supervisor.process() if state and state.supervisor else None
    if supervisor is None:
        return False
    supervisor.terminate()
    deadline = time.monotonic() + seconds
    while state and state.supervisor and state.supervisor.process():
        if time.monotonic() > deadline:
            raise _still_there(folder, supervisor.pid, seconds)
        time.sleep(POLL_SECONDS)
    return True


class _Supervisor:
    """The started process with what it writes: `stack.log` beside the others' logs."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.log = folder / "logs" / "stack.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._offset = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in this terminal is not meant for it
            )

    def new_lines(self) -> list[str]:
        """Whole lines since the last call."""
        with self.log.open("rb") as log:
            log.seek(self._offset)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.decode(errors="replace").splitlines()


def _until_ready(folder: Path, supervisor: _Supervisor, progress: Say) -> StackState:
    deadline = time.monotonic() + START_SECONDS
    try:
        while time.monotonic() < deadline and supervisor.process.poll() is None:
            state = running_stack(folder)
            for line in supervisor.new_lines():
                progress(line)
            if state:
                return state
            time.sleep(POLL_SECONDS)
    except BaseException:  # Ctrl-C while it starts: nobody would know that it is there
        supervisor.process.terminate()
        supervisor.process.wait(STOP_SECONDS)
        raise
    supervisor.process.terminate()
    supervisor.process.wait(STOP_SECONDS)
    raise StartFailed(
        "The stack did not start",
        where=str(supervisor.log),
        why=f"its last lines:\n{tail(supervisor.log)}\n",
        next_step="correct what these lines name and start again; everything that was started has been ended",
    )


def _still_there(folder: Path, pid: int, seconds: float) -> PipelineError:
    return PipelineError(
        "The stack has not ended",
        where=f"{folder}, supervisor pid {pid}",
        why=f"it is still there {seconds:g} s after SIGTERM",
        next_step=f"`kill -9 {pid}`; the next start ends what that leaves",
    )
