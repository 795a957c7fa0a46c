"""The variant with kills: Dagster's daemon and a worker ended by SIGKILL, a Temporal that answers nobody for a minute."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from backfill_pipeline.stack.state import last_state

AWAY_SECONDS = 60
RESTART_SECONDS = 120

Say = Callable[[str], None]


class Kills(threading.Thread):
    """One after the other, once begun. told: what was done and when, in seconds since the beginning of the block."""

    def __init__(self, folder: Path, worker_of: str, temporal_of: str, say: Say) -> None:
        super().__init__(name="kills", daemon=True)
        self._folder, self._say = folder, say
        self._worker, self._temporal = f"worker-{worker_of}", f"temporal-{temporal_of}"
        self._begun = time.monotonic()
        self.told: list[str] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._killed("daemon")
            self._killed(self._worker)
            self._away(self._temporal)
        except BaseException as error:
            self.error = error

    def _killed(self, name: str) -> None:
        """SIGKILL, and return once the supervisor has put another process in its place."""
        old = self._pid(name)
        os.kill(old, signal.SIGKILL)
        self._tell(f"{name} killed")
        deadline = time.monotonic() + RESTART_SECONDS
        while self._pid(name) in (0, old):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no new {name} within {RESTART_SECONDS} s")
            time.sleep(0.2)

    def _away(self, name: str) -> None:
        """Stopped, not ended: connections stay open, and nobody answers on them."""
        pid = self._pid(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            self._tell(f"{name} does not answer")
            time.sleep(AWAY_SECONDS)
        finally:
            os.kill(pid, signal.SIGCONT)
        self._tell(f"{name} answers again")

    def _pid(self, name: str) -> int:
        state = last_state(self._folder)
        return state.pids.get(name, 0) if state else 0

    def _tell(self, what: str) -> None:
        self.told.append(f"{time.monotonic() - self._begun:.0f} s: {what}")
        self._say(self.told[-1])
