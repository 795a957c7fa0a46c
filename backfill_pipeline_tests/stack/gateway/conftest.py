"""A real gateway in a process of its own, and clients of it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import psutil
import pytest


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Gateway:
    """A gateway process over one directory, which can be killed and started again."""

    def __init__(self, path: Path) -> None:
        self.path, self.log, self.port = path, path / "gateway.log", free_port()
        path.mkdir(parents=True, exist_ok=True)
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "backfill_pipeline.stack.gateway", "--path", str(self.path)]
        options = ["--port", str(self.port), "--log-level", "debug", "--max-memory", str(1 << 30)]
        with self.log.open("ab") as log:
            environment = {**os.environ, "TZ": "Asia/Tokyo"}  # a host's zone must not show
            self.process = subprocess.Popen([*command, *options], stdout=log, stderr=log, env=environment)
        self._wait_until_up()

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}ping", timeout=1)
                return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"not up after 60 s: {self.log.read_text()}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def resident(self) -> int:
        return psutil.Process(self.process.pid).memory_info().rss

    def client(self, **options: Any) -> Any:
        return clickhouse_connect.get_client(host="127.0.0.1", port=self.port, **options)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("gateway"))
    yield running
    assert running.process.poll() is None, f"the engine went down: {running.log.read_text()[-2000:]}"
    running.stop()


@pytest.fixture
def own_gateway(tmp_path: Path) -> Iterator[Gateway]:
    """For a test that ends its gateway."""
    running = Gateway(tmp_path / "own")
    yield running
    running.kill()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Any]:
    """A client in a database of its own."""
    name = f"db_{os.urandom(4).hex()}"
    with gateway.client() as root:
        root.command(f"CREATE DATABASE {name}")
        with gateway.client(database=name) as mine:
            yield mine
        root.command(f"DROP DATABASE {name} SYNC")


def wait_until(claim: Any, seconds: float = 30) -> None:
    """Polls until the claim holds."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)
