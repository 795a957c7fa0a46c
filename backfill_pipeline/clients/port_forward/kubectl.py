"""kubectl as a child process that can't outlive its keeper."""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

LARGEST_LOG = 1_000_000  # bytes; kubectl writes a line for each connection
LAST_BYTES = 2_000
END_SECONDS = 3.0
# Of a forward, at any time; and that with which kubectl ends. A login plugin writes to the same place, and may write
# secrets: what it wrote comes before kubectl's own last words.
_OF_A_FORWARD = re.compile(
    r"Unable to listen on port |([EW]\d{4} .*)?an error occurred forwarding |[EW]\d{4} .*portforward\.go:"
)
_LAST_WORDS = re.compile(
    r"(?i)error: |error from server|unable to |the connection to the server |please enter username"
)
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Kubectl:
    """Started by the keeper's only thread: Linux ends a child so started when that thread is gone.

    Args:
        kubeconfig: its KUBECONFIG; "", that of this process.

    Raises:
        OSError: it can't be started.
    """

    def __init__(self, command: Sequence[str], log: Path, kubeconfig: str = "") -> None:
        self._log = log
        log.write_bytes(b"")
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,  # one that asks for a password gets none, and ends
                stdout=output,
                stderr=output,
                env={**os.environ, **({"KUBECONFIG": kubeconfig} if kubeconfig else {})},
                start_new_session=True,  # a wrapper's kubectl is ended with it
                preexec_fn=_ends_with_its_starter(),
            )
        self.started = time.monotonic()

    def has_ended(self) -> bool:
        return self._child.poll() is not None

    def listens(self) -> bool:
        """It logs in first, and listens after that."""
        with self._log.open("rb") as log:
            return b"Forwarding from" in log.read(LAST_BYTES)

    def said(self) -> str:
        """The end of what it wrote itself; nothing of what its login plugin wrote, which can be seen by hand only."""
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - LAST_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        code = self._child.poll()
        said = [*filter(_OF_A_FORWARD.match, lines), *(_last_words(lines) if code else ())]
        return "\n".join(dict.fromkeys(said)) or (
            f"kubectl ended with {code}, for no reason of its own" if code else ""
        )

    def trim_log(self) -> None:
        if self._log.stat().st_size > LARGEST_LOG:
            os.truncate(self._log, 0)

    def end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(END_SECONDS)


def _last_words(lines: Sequence[str]) -> Sequence[str]:
    """What kubectl ends with, from its beginning on."""
    begins = [i for i, line in enumerate(lines) if _LAST_WORDS.match(line)]
    return lines[begins[-1] :] if begins else ()


def _ends_with_its_starter() -> Callable[[], None] | None:
    if _LIBC is None:
        return None
    starter, prctl = os.getpid(), _LIBC.prctl

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != starter:
            os._exit(1)

    return ask_the_kernel
