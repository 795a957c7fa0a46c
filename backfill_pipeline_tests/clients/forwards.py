"""A stand-in for kubectl and what it leads to, for tests of forwards; and holders in processes of their own."""

import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backfill_pipeline.clients.port_forward.holder import Held
from backfill_pipeline.clients.port_forward.keeper import Pace
from backfill_pipeline.config import Forward
from backfill_pipeline_tests.clients.jobs import lives, wait_for

STANDIN = Path(__file__).with_name("kubectl_standin.py")
PACE = Pace(
    tick=0.05,
    linger=1,
    start=3,
    probe=2,
    between_probes=0.5,
    after_a_miss=0.1,
    misses=2,
    first_delay=0.1,
    longest_delay=3,
)
HOLDER = """
import sys
from pathlib import Path
from backfill_pipeline_tests.clients.forwards import Standin
with Standin(Path(sys.argv[1])).held(sys.argv[2]) as held:
    print(held.port(30), flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True)
class Standin:
    """One cluster, whose kubectl is ours. `root`, where the forwards' folders are, is the test's own."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def path(self) -> str:
        """With a `kubectl` before all others."""
        program = self.folder / "bin" / "kubectl"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{STANDIN}" "$@"\n')
        program.chmod(0o755)
        return f"{program.parent}:{os.environ['PATH']}"

    def does(self, **orders: Any) -> "Standin":
        fresh = self.kubeconfig.with_suffix(".new")
        fresh.write_text(json.dumps(orders))
        fresh.rename(self.kubeconfig)
        return self

    def forward(self, target: str = "service/it") -> Forward:
        return Forward(target=target, port=5432, namespace="databases", context="north", kubeconfig=self.kubeconfig)

    def held(self, greeting: str = "http", *, target: str = "service/it", pace: Pace = PACE) -> Held:
        return Held(self.forward(target), greeting, root=self.root, pace=pace)

    def starts(self) -> list[dict[str, Any]]:
        """Of kubectl, oldest first."""
        file = self.folder / "starts"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def kubectl(self) -> int:
        return int(self.starts()[-1]["pid"])

    def keepers(self) -> list[int]:
        return [pid for pid in processes() if str(self.root) in command_of(pid) and "port_forward" in command_of(pid)]

    def all_are_gone(self) -> bool:
        return not self.keepers() and not any(lives(s["pid"]) for s in self.starts())

    @contextmanager
    def holder(self, greeting: str = "http") -> Iterator["tuple[subprocess.Popen[str], int]"]:
        """A process that holds to the forward until it is killed, and the port that it was given."""
        command = [sys.executable, "-c", HOLDER, str(self.folder), greeting]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout
                yield process, int(process.stdout.readline())
            finally:
                process.kill()


def processes() -> list[int]:
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if lives(pid)]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def gone(standin: Standin, seconds: float = 15) -> None:
    wait_for(standin.all_are_gone, "the end of keeper and kubectl", seconds)


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while part := self.request.recv(65536):
            self.request.sendall(part)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def echo() -> Iterator[int]:
    """The port of a server that answers whatever it is told."""
    with _Server(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
