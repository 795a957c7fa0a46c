"""The folder of a forward: who holds to it, who keeps it, what the keeper says; and the ports of all forwards."""

import contextlib
import fcntl
import json
import os
import random
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from backfill_pipeline.clients.loopback import LOOPBACK, is_free
from backfill_pipeline.domain.errors import PipelineError

# Below the range for outgoing connections: no client's own socket can take the port while kubectl is started again.
FIRST, LAST = 20_000, 29_999
TRIES = 200


@dataclass(frozen=True)
class Said:
    """What the keeper says. open: a probe came through; failure: the end of what kubectl wrote when it last failed."""

    port: int
    open: bool = False
    failure: str = ""
    failures: int = 0


@dataclass(frozen=True)
class Order:
    """What a keeper keeps.

    Args:
        command: kubectl's, with `{port}` for the local one.
        greeting: of `greetings.GREETINGS`.
        kubeconfig: kubectl's KUBECONFIG, one file or several; "", the command names its own.
    """

    command: tuple[str, ...]
    greeting: str
    kubeconfig: str = ""


class Place:
    """One forward's folder.

    Args:
        root: holds the folders of all forwards of this user and their ports.
        name: of the forward; whoever means the same one gives the same name.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name, self.folder = root, name, root / name

    def prepare(self) -> None:
        """Raises: PipelineError, the root is somebody else's or open to others."""
        _make_private(self.root)
        for folder in (self.folder, self.root / "ports"):
            folder.mkdir(mode=0o700, exist_ok=True)

    def order(self) -> Order:
        tree = json.loads((self.folder / "order.json").read_text())
        return Order(tuple(tree["command"]), tree["greeting"], tree["kubeconfig"])

    def write_order(self, order: Order) -> None:
        self._write("order.json", json.dumps(asdict(order)))

    def said(self) -> Said | None:
        try:
            return Said(**json.loads((self.folder / "said.json").read_text()))
        except FileNotFoundError:
            return None

    def say(self, said: Said) -> None:
        self._write("said.json", json.dumps(asdict(said)))

    def forget(self) -> None:
        (self.folder / "said.json").unlink(missing_ok=True)

    @property
    def log(self) -> Path:
        return self.folder / "kubectl.log"

    def locked(self, name: str, how: int) -> int | None:
        """The descriptor of the lock if nobody holds it otherwise; whoever has it lets go by closing it, or by its end."""
        return locked(self.folder / name, how)

    def _write(self, name: str, text: str) -> None:
        partial = self.folder / f".{name}.{os.getpid()}"
        partial.write_text(text)
        partial.rename(self.folder / name)

    def held_port(self, number: int) -> int | None:
        """A lock that keeps the port for this forward; None if it is another's by now."""
        lock = locked(self.root / "ports" / str(number), fcntl.LOCK_SH)
        if lock is not None and not self._is_mine(lock):
            os.close(lock)
            return None
        return lock

    def claimed_port(self, last: int | None) -> "Port":
        """The port that holders of this forward hold to, else a free one that becomes this forward's.

        Args:
            last: what a keeper before had.

        Raises:
            PipelineError: no port of the range is free.
        """
        if last is not None and (held := self._held_by_others(last)):
            return held
        for number in random.sample(range(FIRST, LAST), TRIES):
            if (lock := self._taken(number)) is not None:
                return Port(number, lock)
        raise _no_port()

    def _held_by_others(self, number: int) -> "Port | None":
        alone = locked(self.root / "ports" / str(number), fcntl.LOCK_EX)
        if alone is not None:
            os.close(alone)
            return None
        lock = self.held_port(number)
        return None if lock is None else Port(number, lock, is_fixed=True)

    def _taken(self, number: int) -> int | None:
        """The exclusive lock becomes a shared one in two steps; what the file says then tells who was first."""
        lock = locked(self.root / "ports" / str(number), fcntl.LOCK_EX)
        if lock is None:
            return None
        if is_free(number):
            os.ftruncate(lock, 0)
            os.pwrite(lock, self.name.encode(), 0)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                if self._is_mine(lock):
                    return lock
        os.close(lock)
        return None

    def _is_mine(self, lock: int) -> bool:
        return os.pread(lock, 200, 0).decode(errors="replace") == self.name


@dataclass
class Port:
    """A port that is this forward's while the lock is held. is_fixed: holders hold to it, so it can't be another one."""

    number: int
    lock: int
    is_fixed: bool = False


def locked(file: Path, how: int) -> int | None:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        return descriptor
    except BlockingIOError:
        os.close(descriptor)
        return None


@contextlib.contextmanager
def let_go(lock: int | None) -> Iterator[None]:
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def default_root() -> Path:
    return Path(tempfile.gettempdir()) / f"backfill-port-forward-{os.getuid()}"


def _make_private(root: Path) -> None:
    """Others could put orders there, and commands of their own would be run."""
    with contextlib.suppress(FileExistsError):
        root.mkdir(mode=0o700)
    found = root.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077:
        return
    raise PipelineError(
        "The folder of the port-forwards can't be trusted",
        where=str(root),
        why="it is no folder of this user alone (mode 0700)",
        next_step="look who made it, and remove it",
    )


def _no_port() -> PipelineError:
    return PipelineError(
        "No free port for a port-forward",
        where=f"{LOOPBACK}:{FIRST}-{LAST}",
        why=f"{TRIES} ports were tried and all are taken",
        next_step="end what listens there (`ss -ltnp`) and start again",
    )
