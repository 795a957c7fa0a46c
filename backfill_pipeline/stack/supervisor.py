"""The stack as one thing to start and stop: `with Stack(folder) as state: ...`."""

import fcntl
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any, NoReturn

import psutil

from backfill_pipeline.clients.loopback import LOOPBACK
from backfill_pipeline.config import Config, load
from backfill_pipeline.domain.errors import PipelineError, Refused
from backfill_pipeline.stack import postgres, temporal
from backfill_pipeline.stack.dagster_home import make_home
from backfill_pipeline.stack.embedded_config import (
    CLUSTERS,
    PARTS,
    Embedded,
    StackCluster,
    complete,
    embedded,
    gateway_name,
    made_up,
    temporal_name,
    write,
)
from backfill_pipeline.stack.kubernetes.kubebox import kubebox
from backfill_pipeline.stack.password import ensure_password
from backfill_pipeline.stack.plan import Site, control_plane_of, plan
from backfill_pipeline.stack.ports import choose_ports
from backfill_pipeline.stack.processes import end_strangers, marked_with
from backfill_pipeline.stack.state import (
    ENV_STORAGE,
    HostPort,
    ProcessId,
    StackState,
    TemporalState,
    last_state,
    running_stack,
)
from backfill_pipeline.stack.watch import Watch

DEFINITIONS = "backfill_pipeline.definitions"
START_SECONDS = 300
STOP_SECONDS = 150  # more than the sum of what all layers may take
LOCK_SECONDS = 2.0


Say = Callable[[str], None]
Handler = Callable[[int, FrameType | None], Any] | signal.Handlers


def _nothing(line: str) -> None:
    """For callers who want no progress."""


class AlreadyRunning(Refused):
    """Another supervisor holds this folder; `state` is what it says, None while it still starts."""

    state: StackState | None = None


class Stack:
    """The embedded stack of a folder, of which there is at most one.

    Args:
        folder: where its data, logs and addresses are kept between starts.
        clusters: made-up clusters, all of whose parts are embedded.
        config: a configuration file of your own instead; what it gives an address for is not started, and a cluster
            of the same name as a made-up one has as many shards.
        parts: those of `PARTS` that may be started; the others' addresses are left out of the configuration.
        definitions: the module that Dagster's code server loads.
        progress: told what happens, a line each, unless `start` is given another.
        launcher: `kubernetes` starts a cluster too, whose Jobs those of made-up clusters then are.
    """

    def __init__(
        self,
        folder: Path,
        clusters: Sequence[StackCluster] = CLUSTERS,
        *,
        config: Path | None = None,
        parts: Collection[str] = PARTS,
        definitions: str = DEFINITIONS,
        progress: Say = _nothing,
        launcher: str = "local",
    ) -> None:
        self._folder, self._config, self._parts = folder.resolve(), config, _known(parts)
        self._clusters, self._definitions, self._say = clusters, definitions, progress
        self._launcher = launcher
        self._lock: IO[str] | None = None
        self._watch: Watch | None = None
        self._state: StackState | None = None

    @property
    def state(self) -> StackState:
        assert self._state is not None, "the stack has not been started"
        return self._state

    def start(self, progress: Say | None = None) -> StackState:
        """Starts all parts and waits until each has answered.

        Args:
            progress: told what happens, a line each, for as long as the stack runs.

        Raises:
            AlreadyRunning: a stack runs in this folder.
            StartFailed: a part did not become ready. Nothing is left running after this or any other error.
        """
        self._lock = _locked(self._folder)
        try:
            self._prepare(progress or self._say)
            self._wait_until_started()
        except BaseException:
            self.stop()
            raise
        return self.state

    def stop(self) -> None:
        """Ends all parts in reverse order; does nothing where none run. A second Ctrl-C can't cut it short.

        Raises:
            PipelineError: a process is still there after every deadline.
        """
        with _signals_ignored():
            if self._watch:
                self._watch.stop()
                self._watch.ended.wait(STOP_SECONDS)
            if self._state:
                self._end_left_over()
                self._update(ready=False, supervisor=None, processes={})
            self._watch = None
            if self._lock:
                self._lock.close()
                self._lock = None

    def run_forever(self, started: Callable[[StackState], None] | None = None, progress: Say = print) -> None:
        """Starts, calls `started`, and stays until Ctrl-C or SIGTERM, then stops all. Call it from the main thread."""
        try:
            with _ends_as_interrupt():
                state = self.start(progress)
                try:
                    if started:
                        started(state)
                    self.wait()
                finally:
                    progress("stopping")
                    self.stop()
        except KeyboardInterrupt:
            progress("stopped; the next start goes on where this one was")

    def wait(self, seconds: float | None = None) -> None:
        """Returns after `seconds`; raises what ended the supervision, if anything did."""
        assert self._watch is not None, "the stack has not been started"
        if self._watch.ended.wait(seconds):
            raise self._watch.failure or RuntimeError("the stack was stopped")

    def __enter__(self) -> StackState:
        self._until_exit = _ends_as_interrupt()
        self._until_exit.__enter__()
        try:
            return self.start()
        except BaseException:
            self._until_exit.__exit__(None, None, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._until_exit.__exit__(None, None, None)

    def _prepare(self, progress: Say) -> None:
        last = last_state(self._folder)
        if last:
            _end_orphans(last, progress)
        config = load(self._config) if self._config else made_up(self._clusters)
        parts = self._embedded(config)
        program = temporal.find_temporal(progress) if parts.temporal else None
        self._state = _fresh_state(self._folder, last, parts)
        self._make_files(config, parts)
        programs = kubebox(progress) if parts.kubernetes else None
        site = Site(self.state, parts, program, self._definitions, programs)
        if programs:
            control_plane_of(site).prepare()
        self._watch = Watch(plan(site), self.state.id, progress, self._processes_changed)
        self._watch.start()

    def _embedded(self, config: Config) -> Embedded:
        shards = {c.name: c.shards for c in self._clusters}
        return embedded(
            config, shards, self._parts, own_storage=bool(os.environ.get(ENV_STORAGE)), launcher=self._launcher
        )

    def _make_files(self, config: Config, parts: Embedded) -> None:
        folder, state = self._folder, self.state
        for name in ("logs", "jobs", "temporal", "clickhouse"):
            (folder / name).mkdir(exist_ok=True)
        write(complete(config, parts, state.ports, folder), state.config_path)
        if parts.postgres:
            postgres.initialise(folder / "postgres", ensure_password(folder), state.logs / "postgres.log")
        if parts.dagster:
            make_home(state.dagster_home, state.ports["code-server"])
        state.write()

    def _wait_until_started(self) -> None:
        assert self._watch is not None
        deadline = time.monotonic() + START_SECONDS
        while not self._watch.started.wait(0.05):
            if self._watch.ended.is_set() and self._watch.failure:
                raise self._watch.failure
            if time.monotonic() > deadline:
                raise _too_slow(self.state)
        self._update(ready=True)

    def _processes_changed(self, processes: dict[str, ProcessId], restarts: dict[str, int]) -> None:
        self._update(processes=processes, restarts=restarts)

    def _update(self, **changes: object) -> None:
        """Written at each change, so that even after `kill -9` the next start knows what was started."""
        with _STATE_LOCK:
            self._state = self.state.model_copy(update=changes)
            self._state.write()

    def _end_left_over(self) -> None:
        """What our children started in sessions of their own, such as Jobs."""
        end_strangers(_left_over(self.state))
        left = _left_over(self.state)
        if left:
            raise _not_ended([p.pid for p in left])


_STATE_LOCK = threading.Lock()


def _known(parts: Collection[str]) -> frozenset[str]:
    unknown = sorted(set(parts) - PARTS)
    if unknown:
        raise ValueError(f"unknown part {', '.join(unknown)}; expected some of {', '.join(sorted(PARTS))}")
    return frozenset(parts)


def _locked(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise Refused(
            "The stack's folder can't be used", where=str(folder), why=str(error), next_step="choose another --folder"
        ) from None
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if time.monotonic() > deadline:
                lock.close()
                raise _already_running(folder) from None
            time.sleep(0.1)


def _already_running(folder: Path) -> AlreadyRunning:
    state = running_stack(folder)
    addresses = f"Dagster {state.dagster_url or '-'}, PostgreSQL {state.postgres or '-'}" if state else "still starting"
    holder = last_state(folder)
    pid = f" (pid {holder.supervisor.pid})" if holder and holder.supervisor else ""
    error = AlreadyRunning(
        "The stack already runs",
        where=f"{folder}: {addresses}",
        why=f"another process holds it{pid}",
        next_step="use these addresses, or end it first (Ctrl-C in its terminal, or `backfill stop`)",
    )
    error.state = state
    return error


def _fresh_state(folder: Path, last: StackState | None, parts: Embedded) -> StackState:
    kept = last.ports if last else {}
    ports = choose_ports(parts.port_names(), kept)
    here = {name: HostPort(host=LOOPBACK, port=port) for name, port in ports.items()}
    return StackState(
        id=last.id if last else secrets.token_hex(8),
        folder=folder,
        config_path=folder / "config.yaml",
        dagster_home=folder / "dagster_home",
        supervisor=ProcessId.of(os.getpid()),
        ports=kept | ports,
        postgres=here.get("postgres"),
        gateways={c: [here[gateway_name(c, n + 1)] for n in range(shards)] for c, shards in parts.gateways.items()},
        temporal={c: _temporal_state(c, here) for c in parts.temporal},
        dagster_url=f"http://{here['webserver']}" if parts.dagster else None,
    )


def _temporal_state(cluster: str, here: dict[str, HostPort]) -> TemporalState:
    name = temporal_name(cluster)
    return TemporalState(address=str(here[name]), ui=f"http://{here[f'{name}-ui']}")


def _end_orphans(last: StackState, progress: Say) -> None:
    left = _left_over(last)
    if left:
        progress(f"ending {len(left)} processes that a killed supervisor had left")
    ended = end_strangers(left)
    if ended:
        progress(f"ended: {', '.join(map(str, ended))}")


def _left_over(state: StackState) -> list[psutil.Process]:
    """What was written down, and what carries the stack's id (PostgreSQL wipes its environment, so it takes both)."""
    recorded = [p for p in (i.process() for i in state.processes.values()) if p]
    return list({p.pid: p for p in [*recorded, *marked_with(state.id)]}.values())


@contextmanager
def _ends_as_interrupt() -> Iterator[None]:
    """SIGTERM, and a terminal that is closed, end the main thread as Ctrl-C does; other threads are left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled_by(_interrupt, signal.SIGTERM, signal.SIGHUP):
        yield


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def _signals_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled_by(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        yield


@contextmanager
def _handled_by(handler: Handler, *numbers: signal.Signals) -> Iterator[None]:
    previous = {n: signal.signal(n, handler) for n in numbers}
    try:
        yield
    finally:
        for number, earlier in previous.items():
            signal.signal(number, earlier)


def _too_slow(state: StackState) -> PipelineError:
    return PipelineError(
        "The stack did not start in time",
        where=str(state.logs),
        why=f"not all parts were ready after {START_SECONDS} s",
        next_step="look into the logs of the parts that were not ready, then start again",
    )


def _not_ended(pids: list[int]) -> PipelineError:
    return PipelineError(
        "Processes of the stack are still there",
        where=f"pids {', '.join(map(str, pids))}",
        why="neither SIGTERM nor SIGKILL ended them in time",
        next_step="look at them with `ps`; a process in state D waits for a disk",
    )
