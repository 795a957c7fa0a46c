"""A window's chain of steps in a process of its own, which a SIGKILL ends right after a named call.

Each step's record is kept in a folder before the next step begins, as a run keeps it in PostgreSQL, so that the same
attempt can go on from there.
"""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

from backfill_pipeline.clients import local_jobs
from backfill_pipeline.config import Config
from backfill_pipeline.domain.plans import Claim
from backfill_pipeline.steps import delete, follow, inspect, launch, record
from backfill_pipeline.steps.records import Recorded
from backfill_pipeline.steps.systems import Systems, open_systems
from backfill_pipeline.stores import mutations

T = TypeVar("T")
_FORKS = multiprocessing.get_context("forkserver")  # clean forks of a process that has imported all this
_FORKS.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class KillPoint:
    """Right after the n-th return of a call, which is also right before whatever comes next."""

    call: str
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.call}-{self.nth}"


def carry_out(systems: Systems, claim: Claim, folder: Path) -> Recorded:
    """The whole chain; a step whose record lies in the folder is not done again."""
    seen = step(folder, "inspect", lambda: inspect.inspect(systems, claim, launched_by="test"))
    deleted = step(folder, "delete", lambda: delete.delete(systems, seen))
    launched = step(folder, "launch", lambda: launch.launch(systems, seen))
    followed = step(folder, "follow", lambda: follow.follow(systems, seen, launched))
    return step(folder, "record", lambda: record.record(systems, seen, deleted, launched, followed))


def step(folder: Path, name: str, work: Callable[[], T]) -> T:
    path = folder / name
    if not path.exists():
        save(path, work())
    found: T = pickle.loads(path.read_bytes())
    return found


def save(path: Path, done: object) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(pickle.dumps(done))
    fresh.rename(path)


def start(config: Config, claim: Claim, folder: Path, point: KillPoint | None = None) -> BaseProcess:
    """The chain in a process of its own; with a point it kills itself there."""
    process = _FORKS.Process(target=_run, args=(config, claim, folder, point))
    process.start()
    return process


def _run(config: Config, claim: Claim, folder: Path, point: KillPoint | None) -> None:
    systems = open_systems(config, claim.cluster, print)
    if point:
        _arm(systems, point)
    carry_out(systems, claim, folder)
    systems.close()


@contextmanager
def calls(systems: Systems, heard: Callable[[str], None]) -> Iterator[None]:
    """Have every call of the chain that may matter told by name after it has returned."""
    with ExitStack() as undo:
        for name in _names(systems):
            undo.callback(_wrap(systems, name, heard))
        yield


def _arm(systems: Systems, point: KillPoint) -> None:
    count = 0

    def heard(name: str) -> None:
        nonlocal count
        count += 1
        if count == point.nth:
            os.kill(os.getpid(), signal.SIGKILL)

    _wrap(systems, point.call, heard)


def _wrap(systems: Systems, name: str, heard: Callable[[str], None]) -> Callable[[], None]:
    """Put a told call in the place of the real one; what is returned undoes it."""
    room, attribute = name.split(".")
    holder = _rooms(systems)[room]
    real = getattr(holder, attribute)

    def told(*args: Any, **named: Any) -> Any:
        result = real(*args, **named)
        if threading.current_thread() is threading.main_thread():  # not the thread that keeps the lease
            heard(name)
        return result

    setattr(holder, attribute, told)
    return lambda: setattr(holder, attribute, real)


def _rooms(systems: Systems) -> dict[str, Any]:
    return {
        "ledger": systems.ledger,
        "temporal": systems.temporal,
        "launcher": systems.launcher,
        "jobs": local_jobs,
        "mutations": mutations,
        "inspect": inspect,
        "delete": delete,
        "record": record,
        "driver": sys.modules[__name__],
    }


_FUNCTIONS = (
    "jobs._create", "jobs._call_runner", "mutations.survivors", "mutations.submit", "mutations.wait",
    "inspect.end_earlier_attempts", "inspect.source_sums", "inspect.target_sums", "inspect.plan",
    "delete.wait_until_healthy",
    "record.verify", "record.find_doubled", "driver.save",
)  # fmt: skip
_NO_STATEMENTS = {
    "launcher.resume", "launcher.where", "launcher.log_error", "ledger.kept", "ledger.transaction", "temporal.close",
}  # fmt: skip


def _names(systems: Systems) -> Iterator[str]:
    yield from _FUNCTIONS
    for room in ("ledger", "temporal", "launcher"):
        holder = _rooms(systems)[room]
        public = [n for n in dir(type(holder)) if not n.startswith("_") and callable(getattr(holder, n))]
        yield from (f"{room}.{n}" for n in public if f"{room}.{n}" not in _NO_STATEMENTS)
