"""One child process: started so that it can't outlive its supervisor unseen, ended with everything that it started."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from backfill_pipeline.stack.probes import Finishes, Probe, StaysAlive
from backfill_pipeline.stack.state import ProcessId

ENV_STACK_ID = "BACKFILL_STACK_ID"
PROJECT = Path(__file__).resolve().parents[2]
LARGEST_LOG = 20_000_000  # bytes; a longer one is set aside when its process starts again
TAIL_LINES = 15
POLL_SECONDS = 0.05
STAYS_ALIVE = StaysAlive()
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Process:
    """A part of the stack as data.

    env: added to the supervisor's own environment; holds secrets, so it is left out of the repr.
    ready: known by this probe within `ready_seconds` of its start.
    after: names of the parts that must be ready before it starts.
    due_when_lost: parts whose death makes a step that runs once due again, before they are started again.
    stop: the signal that ends it in good order within `stop_seconds`; SIGKILL follows.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    ready: Probe = STAYS_ALIVE
    ready_seconds: float = 60
    after: tuple[str, ...] = ()
    due_when_lost: tuple[str, ...] = ()
    stop: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10
    account: tuple[int, int] | None = None  # user and group ids that it runs as; None: the supervisor's own

    @property
    def runs_once(self) -> bool:
        return isinstance(self.ready, Finishes)


class Child:
    """A started process. Start it from a thread that lives as long as the child shall: the kernel ends it with that."""

    def __init__(self, process: Process, stack_id: str) -> None:
        self.process = process
        self.log_offset = _prepare_log(process.log)
        self._started = time.monotonic()
        with process.log.open("ab") as log:
            self._popen = _start(process, stack_id, log.fileno())
        self.id = ProcessId.of(self._popen.pid)  # not reaped before poll(), so it is there even if it has ended

    def exit_code(self) -> int | None:
        return self._popen.poll()

    def seconds_alive(self) -> float:
        return time.monotonic() - self._started

    def log_since_start(self) -> str:
        with self.process.log.open("rb") as log:
            log.seek(self.log_offset)
            return log.read().decode(errors="replace")

    def signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.id.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
            return

    def group_is_gone(self) -> bool:
        return self.exit_code() is not None and not _members(self.id.pid)


def _start(process: Process, stack_id: str, log: int) -> subprocess.Popen[bytes]:
    user, group = process.account or (None, None)
    return subprocess.Popen(
        process.command,
        env={**os.environ, **process.env, ENV_STACK_ID: stack_id},
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # a group of its own: Ctrl-C goes to the supervisor alone, which ends all in order
        preexec_fn=_dies_with_this_thread(process.stop),
        user=user,
        group=group,
        extra_groups=[] if process.account else None,
    )


def _dies_with_this_thread(number: signal.Signals) -> Callable[[], None] | None:
    """Linux sends the child `number` when its starter is gone, however that ended; elsewhere the next start does it."""
    if _LIBC is None:
        return None
    starter, prctl = os.getpid(), _LIBC.prctl

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != starter:
            os._exit(1)

    return ask_the_kernel


def _prepare_log(log: Path) -> int:
    """Bytes that the log already holds."""
    log.parent.mkdir(parents=True, exist_ok=True)
    size = log.stat().st_size if log.exists() else 0
    if size <= LARGEST_LOG:
        return size
    log.replace(log.with_suffix(".1.log"))
    return 0


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]) or "(empty log)"


def end(children: Iterable[Child]) -> None:
    """Ends children and all that they started: their own signal first, SIGKILL after their `stop_seconds`."""
    children = list(children)
    for child in children:
        child.signal_group(child.process.stop)
    asked = time.monotonic()
    for child in children:
        _wait_until(child.group_is_gone, asked + child.process.stop_seconds)
        child.signal_group(signal.SIGKILL)
    for child in children:
        _wait_until(child.group_is_gone, time.monotonic() + 5)


def end_strangers(processes: Iterable[psutil.Process], seconds: float = 15) -> list[int]:
    """Ends processes that are not our children (left by a supervisor that was killed); their pids."""
    found = list(processes)
    for process in found:
        _ask_to_end(process)
    _, alive = psutil.wait_procs(found, timeout=seconds)
    for process in alive:
        _ask(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=5)
    return [p.pid for p in found]


def marked_with(stack_id: str) -> list[psutil.Process]:
    """Every living process, but this one, that carries the stack's id in its environment."""
    return [p for p in psutil.process_iter() if p.pid != os.getpid() and _carries(p, stack_id)]


def _carries(process: psutil.Process, stack_id: str) -> bool:
    try:
        return bool(process.environ().get(ENV_STACK_ID) == stack_id and process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.Error, OSError):
        return False  # another user's, or gone in the meantime


def _ask_to_end(process: psutil.Process) -> None:
    """PostgreSQL takes SIGTERM as: wait until the last client has left."""
    try:
        _ask(process, signal.SIGINT if process.name().startswith("postgres") else signal.SIGTERM)
    except psutil.NoSuchProcess:
        return


def _ask(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _members(group: int) -> list[int]:
    return [p.pid for p in psutil.process_iter() if _is_in(p, group)]


def _is_in(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ProcessLookupError):
        return False


def _wait_until(done: Callable[[], bool], deadline: float) -> bool:
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
