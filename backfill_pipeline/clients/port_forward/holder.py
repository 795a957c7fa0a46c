"""The user's side of a forward: holds to it, starts its keeper where there is none, waits until it is open."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType

from backfill_pipeline.clients.loopback import LOOPBACK
from backfill_pipeline.clients.port_forward.failures import failure_of
from backfill_pipeline.clients.port_forward.keeper import Pace
from backfill_pipeline.clients.port_forward.place import Order, Place, default_root
from backfill_pipeline.config import Forward
from backfill_pipeline.domain.errors import Kind, PipelineError

OPEN_SECONDS = 60.0
POD_SECONDS = 10
POLL_SECONDS = 0.05
LOOK_SECONDS = 1.0
NOT_OPEN = "A port-forward does not open"
_started: list["subprocess.Popen[bytes]"] = []  # a keeper that ended is a zombie until its starter asks


class Held:
    """This process's hold on a forward, from its making until `close` or the process's end, whichever way it ends.

    Args:
        forward: with context and namespace.
        greeting: what the far side answers to, of `greetings.GREETINGS`.

    Raises:
        PipelineError: there is no kubectl.
    """

    def __init__(self, forward: Forward, greeting: str, *, root: Path | None = None, pace: Pace | None = None) -> None:
        order = Order(_command(forward), greeting, _guessed_kubeconfig(forward))
        self._forward, self._pace = forward, pace or Pace()
        self._place = Place(root or default_root(), _digest(order))
        self._place.prepare()
        self._place.write_order(order)
        self._closed = threading.Event()
        self._locks = contextlib.ExitStack()
        self._holds, self._next_start, self._port = False, 0.0, 0
        self._look()

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """The keeper sees that nobody holds to it, and ends."""
        self._closed.set()
        self._locks.close()

    def port(self, seconds: float = OPEN_SECONDS) -> int:
        """The local port, once something answers there; it stays the same until `close`.

        Raises:
            PipelineError: what kubectl says, at once where waiting changes nothing, else after these seconds.
        """
        if not self._port:
            self._port = self._opened(time.monotonic() + seconds, seconds)
            name = f"forward {self._forward}"
            threading.Thread(target=self._look_after_the_keeper, name=name, daemon=True).start()
        return self._port

    def _opened(self, end: float, seconds: float) -> int:
        while (port := self._open_port()) is None:
            said = self._place.said()
            failure = failure_of(NOT_OPEN, str(self._forward), said.failure) if said and said.failure else None
            if failure and failure.kind in (Kind.STOP, Kind.MISSING):
                raise failure
            if time.monotonic() > end:
                raise failure or self._no_word(seconds)
            time.sleep(POLL_SECONDS)
        return port

    def _open_port(self) -> int | None:
        self._look()
        said = self._place.said() if self._holds else None
        if said is None or not said.open:
            return None
        lock = self._place.held_port(said.port)
        if lock is None:
            return None
        self._locks.callback(os.close, lock)
        return said.port

    def _look(self) -> None:
        """Holds to the forward, and starts a keeper if there is none. One that is ending keeps both locks until it is gone."""
        if not self._holds:
            lock = self._place.locked("holders", fcntl.LOCK_SH)
            if lock is None:
                return
            self._locks.callback(os.close, lock)
            self._holds = True
        keeps = self._place.locked("keeper", fcntl.LOCK_EX) if time.monotonic() >= self._next_start else None
        if keeps is not None:
            self._next_start = time.monotonic() + LOOK_SECONDS  # one that can't start at all shall not keep us busy
            self._start_keeper(keeps)

    def _start_keeper(self, lock: int) -> None:
        """The keeper is born with the lock: nobody else gets it, and what a dead one said counts no longer."""
        try:
            said = self._place.said()
            if said:
                self._place.say(replace(said, open=False, failure=""))
            _started[:] = [k for k in _started if k.poll() is None]
            _started.append(_keeper(self._place, lock, self._pace))
        finally:
            os.close(lock)

    def _look_after_the_keeper(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            with contextlib.suppress(OSError):  # tried again
                self._look()

    def _no_word(self, seconds: float) -> PipelineError:
        return PipelineError(
            NOT_OPEN,
            where=str(self._forward),
            why=f"kubectl has neither opened it nor failed within {seconds:g} s",
            next_step=f"look into {self._place.folder}, and whether the API server answers",
            kind=Kind.UNREACHABLE,
        )


def _keeper(place: Place, lock: int, pace: Pace) -> "subprocess.Popen[bytes]":
    module = "backfill_pipeline.clients.port_forward"
    with (place.folder / "keeper.log").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", module, str(place.root), place.name, str(lock), json.dumps(asdict(pace))],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            pass_fds=[lock],
            start_new_session=True,  # it serves others too: this process's Ctrl-C is not meant for it
        )


def _command(forward: Forward) -> tuple[str, ...]:
    """Without a context, the account of the pod that this runs in; an empty kubeconfig keeps kubectl from guessing one."""
    file = forward.kubeconfig.absolute() if forward.kubeconfig else None
    login = ["--context", forward.context, *(["--kubeconfig", str(file)] if file else [])] if forward.context else []
    return (
        *(_kubectl(forward), *(login or ["--kubeconfig", os.devnull]), "--namespace", str(forward.namespace)),
        *("port-forward", "--address", LOOPBACK, f"--pod-running-timeout={POD_SECONDS}s"),
        *(forward.target, f"{{port}}:{forward.port}"),
    )


def _guessed_kubeconfig(forward: Forward) -> str:
    """The files that kubectl would find by itself, in the order in which they count.

    Others may mean another cluster by the same context, and its keeper must not be theirs: rows would be deleted there.
    """
    if not forward.context or forward.kubeconfig:
        return ""
    files = os.environ.get("KUBECONFIG") or "~/.kube/config"
    return os.pathsep.join(str(Path(f).expanduser().absolute()) for f in files.split(os.pathsep) if f) or os.devnull


def _kubectl(forward: Forward) -> str:
    found = shutil.which("kubectl")
    if found is None:
        raise PipelineError(
            NOT_OPEN,
            where=str(forward),
            why="there is no `kubectl` on PATH",
            next_step="install kubectl, or give an address that is reached directly",
        )
    return found


def _digest(order: Order) -> str:
    return hashlib.sha256(json.dumps(asdict(order)).encode()).hexdigest()[:24]
