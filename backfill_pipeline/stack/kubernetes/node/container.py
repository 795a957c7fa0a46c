"""One container: a process in a session of its own, its output in a file with a time before each line."""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backfill_pipeline.stack.kubernetes.node.environment import expanded

START_ERROR = 128  # what a runtime says of a command that could not be started
MESSAGE_LINES, MESSAGE_LENGTH = 80, 2048


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Container:
    """Started at once.

    Raises:
        OSError: the command can't be started.
    """

    def __init__(self, spec: Any, env: Mapping[str, str], folder: Path) -> None:
        self.begun = datetime.now(UTC)
        self._is_over = False
        self._log = log_of(folder, spec.name)
        arguments = [expanded(part, env) for part in [*(spec.command or []), *(spec.args or [])]]
        self._process = subprocess.Popen(
            arguments,
            env=dict(env),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._keep_output, daemon=True)
        self._reader.start()

    def wait(self) -> int:
        """Its exit code; what it left running ends with it, as it would with its namespace."""
        code = self._process.wait()
        self.kill()
        self._is_over = True
        self._reader.join(5)
        return 128 - code if code < 0 else code

    def terminate(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        if self._is_over:  # its number may be another process's by now
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _keep_output(self) -> None:
        assert self._process.stdout
        with self._log.open("ab", 0) as log:
            for line in self._process.stdout:
                log.write(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode() + line.rstrip(b"\n") + b"\n")


def log_of(folder: Path, container: str) -> Path:
    return folder / f"{container}.log"


def last_words(folder: Path, container: str) -> str:
    """For `terminationMessagePolicy: FallbackToLogsOnError`."""
    lines = log_of(folder, container).read_text(errors="replace").splitlines(keepends=True)[-MESSAGE_LINES:]
    return "".join(line.split(" ", 1)[1] for line in lines)[-MESSAGE_LENGTH:]
