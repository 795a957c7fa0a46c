"""Ways to log in to a real API server: none, a plugin, and a proxy in between."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from backfill_pipeline.clients.kubernetes.login import opened
from backfill_pipeline.clients.launcher import JobState
from backfill_pipeline.clients.loopback import LOOPBACK
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline_tests.clients.kubeconfigs import kubeconfig, launcher, plugin_that_gives
from backfill_pipeline_tests.kubernetes.cluster import Namespace, TestCluster


class Tunnel(socketserver.ThreadingTCPServer):
    """An HTTP proxy that leads wherever it is asked to, and keeps where that was."""

    daemon_threads = True
    asked: list[str]


class Asked(socketserver.StreamRequestHandler):
    server: Tunnel

    def handle(self) -> None:
        target = self.rfile.readline().split()[1].decode()
        while self.rfile.readline().strip():
            pass
        self.server.asked.append(target)
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            threading.Thread(target=_pipe, args=(there, self.connection), daemon=True).start()
            _pipe(self.connection, there)


def _pipe(source: socket.socket, target: socket.socket) -> None:
    try:
        while part := source.recv(65536):
            target.sendall(part)
    except OSError:
        return


@pytest.fixture
def tunnel() -> Iterator[Tunnel]:
    with Tunnel((LOOPBACK, 0), Asked) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def there(control_plane: TestCluster) -> dict[str, Any]:
    """The control plane as a kubeconfig's cluster."""
    return dict(yaml.safe_load(control_plane.plane.kubeconfig.read_text())["clusters"][0]["cluster"])


@pytest.fixture
def user(control_plane: TestCluster) -> dict[str, Any]:
    """Its administrator, as a kubeconfig's user."""
    return dict(yaml.safe_load(control_plane.plane.kubeconfig.read_text())["users"][0]["user"])


def test_who_is_not_logged_in_is_not_told_to_give_rights_to_everybody(
    alone: Namespace, there: dict[str, Any], tmp_path: Path
) -> None:
    jobs = opened(launcher(kubeconfig(tmp_path, {}, there), alone.name))
    with pytest.raises(PipelineError) as raised:
        jobs.status("one")
    assert "system:anonymous" in raised.value.why
    assert raised.value.kind is Kind.STOP
    assert "log in" in raised.value.next_step
    assert "Role" not in raised.value.next_step


def test_the_credentials_of_a_login_plugin_are_used(
    alone: Namespace, there: dict[str, Any], user: dict[str, Any], tmp_path: Path
) -> None:
    jobs = opened(launcher(kubeconfig(tmp_path, plugin_that_gives(user), there), alone.name))
    assert jobs.status("one").state is JobState.GONE


def test_a_cluster_that_only_a_proxy_leads_to_is_reached_as_kubectl_reaches_it(
    alone: Namespace,
    there: dict[str, Any],
    user: dict[str, Any],
    tunnel: Tunnel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kubeconfig's `proxy-url` goes before what the environment says of proxies."""
    monkeypatch.setenv("NO_PROXY", LOOPBACK)
    through = {**there, "proxy-url": f"http://{LOOPBACK}:{tunnel.server_address[1]}"}
    jobs = opened(launcher(kubeconfig(tmp_path, user, through), alone.name))
    assert jobs.status("one").state is JobState.GONE
    assert {f"https://{target}" for target in tunnel.asked} == {there["server"]}
