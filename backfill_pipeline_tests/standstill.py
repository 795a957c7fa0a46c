"""Processes that stand still: connections stay open, and nobody answers on them."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 10


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    stop(pid)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def stop(pid: int) -> None:
    """Until its last thread has: on a busy machine the others still answer while the one that gets the signal waits its turn."""
    os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + SECONDS
    while any(state != "T" for state in _states(pid)):
        assert time.monotonic() < end, f"process {pid} goes on {SECONDS} s after SIGSTOP"
        time.sleep(0.01)


def _states(pid: int) -> Iterator[str]:
    """Of its threads, as the kernel's letters."""
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        yield stat.read_text().rpartition(") ")[2][0]
