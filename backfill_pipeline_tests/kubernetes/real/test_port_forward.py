"""Forwards through the real kubectl, API server, kubelet and containerd to a pod of its own network."""

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from kubernetes import client

from backfill_pipeline.clients.port_forward.holder import Held
from backfill_pipeline.config import Forward
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.stack.kubernetes.access import CONTEXT
from backfill_pipeline.stack.kubernetes.kubebox import kubebox
from backfill_pipeline_tests.clients.forwards import PACE, Standin, gone
from backfill_pipeline_tests.kubernetes.cluster import Namespace, until
from backfill_pipeline_tests.kubernetes.real.image import IMAGE
from backfill_pipeline_tests.kubernetes.real.jobs import MACHINE, THERE

pytestmark = [pytest.mark.real_node, pytest.mark.usefixtures("node")]
PORT = 5432
# Echoes; after the line `reset` it leaves with bytes unread, which its system answers with a reset connection.
ECHO = 'read -r line; [ "$line" = reset ] && exit; echo "$line"; exec cat'
Hold = Callable[..., Held]


@pytest.fixture
def hold(alone: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hold]:
    monkeypatch.setenv("PATH", f"{kubebox(print)}:/usr/bin:/bin")

    def held(target: str = "service/it", port: int = PORT) -> Held:
        where = {"context": CONTEXT, "namespace": alone.name, "kubeconfig": alone.cluster.plane.kubeconfig}
        forward = Forward.model_validate({"target": target, "port": port, **where})
        return Held(forward, "http", root=tmp_path / "root", pace=PACE)

    yield held
    gone(Standin(tmp_path))


@pytest.fixture
def core(alone: Namespace) -> client.CoreV1Api:
    """With a service, and a pod behind it that echoes."""
    core = client.CoreV1Api(alone.api)
    spec = {"selector": {"a": "it"}, "ports": [{"port": PORT}]}
    core.create_namespaced_service(alone.name, {"metadata": {"name": "it"}, "spec": spec})
    a_pod(core, alone)
    return core


def a_pod(core: client.CoreV1Api, alone: Namespace) -> None:
    command = ["nc", "-ll", "-p", str(PORT), "-e", "sh", "-c", ECHO]
    container = {"name": "c", "image": IMAGE, "command": command}
    spec = {
        **THERE,
        "containers": [container],
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
    }
    core.create_namespaced_pod(alone.name, {"metadata": {"name": "it-0", "labels": {"a": "it"}}, "spec": spec})
    until("the pod's start", lambda: core.read_namespaced_pod("it-0", alone.name).status.phase == "Running", seconds=60)


def echoed(port: int, said: bytes = b"hello\n") -> bytes:
    """Empty where nobody answers."""
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as connection, ThreadPoolExecutor(1) as pool:
            sent = pool.submit(connection.sendall, said)
            while len(answer) < len(said) and (part := connection.recv(1 << 20)):
                answer += part
            sent.result()
    except OSError:
        return b""
    return answer


def kubectls(root: Path) -> list[int]:
    keepers = [p for p in psutil.process_iter() if _is_keeper(p, root)]
    return [c.pid for k in keepers for c in k.children()]


def _is_keeper(process: psutil.Process, root: Path) -> bool:
    try:
        return str(root) in process.cmdline()
    except psutil.Error:
        return False


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize("target", ["service/it", "pod/it-0"])
def test_not_a_byte_is_lost_or_changed_on_the_way_to_a_pod_and_back(hold: Hold, target: str) -> None:
    said = os.urandom(1_000_000).replace(b"\n", b"").replace(b"\0", b"")
    with hold(target) as held, ThreadPoolExecutor(4) as pool:
        port = held.port()
        assert set(pool.map(lambda _: echoed(port, b"first\n" + said), range(4))) == {b"first\n" + said}


def test_a_pod_that_was_replaced_is_reached_at_the_same_port(
    alone: Namespace, core: client.CoreV1Api, hold: Hold
) -> None:
    with hold() as held:
        port = held.port()
        core.delete_namespaced_pod("it-0", alone.name)
        # gone for the API server, its process answers for a moment more
        until("its end", lambda: not echoed(port), seconds=60)
        a_pod(core, alone)
        assert until("an answer of the next one", lambda: echoed(port), seconds=60) == b"hello\n"
        assert held.port() == port


@pytest.mark.usefixtures("core")
def test_a_connection_that_the_pod_resets_costs_the_others_a_moment_and_no_more(hold: Hold, tmp_path: Path) -> None:
    """kubernetes/kubernetes#111825: kubectl then drops every connection and ends."""
    with hold() as held:
        port = held.port()
        (first,) = kubectls(tmp_path / "root")
        echoed(port, b"reset\n" + b"x" * 100_000)
        until("another kubectl", lambda: kubectls(tmp_path / "root") not in ([], [first]))
        assert until("an answer through it", lambda: echoed(port), seconds=30) == b"hello\n"


@pytest.mark.usefixtures("core")
def test_a_port_on_which_nobody_listens_is_no_open_forward(hold: Hold) -> None:
    """kubectl listens all the same."""
    with hold("pod/it-0", 1) as held, pytest.raises(PipelineError) as raised:
        held.port(6)
    assert raised.value.kind is Kind.UNREACHABLE
    assert "nobody answers in the pod at this port" in raised.value.why


def test_in_a_pod_the_account_is_the_pods_own_whatever_the_environment_names(alone: Namespace) -> None:
    """An empty kubeconfig is how a forward without a context keeps kubectl from taking the current one of another file."""
    programs = str(kubebox(print))
    other = {"name": "KUBECONFIG", "value": "/nowhere/of-another-cluster"}
    mounts = [str(p) for p in MACHINE] + [programs]
    container = {
        "name": "c",
        "image": IMAGE,
        "command": [f"{programs}/kubectl", "--kubeconfig", os.devnull, "auth", "whoami"],
        "env": [other],
        "volumeMounts": [{"name": f"m{i}", "mountPath": p, "readOnly": True} for i, p in enumerate(mounts)],
    }
    volumes = [{"name": f"m{i}", "hostPath": {"path": p}} for i, p in enumerate(mounts)]
    spec = {**THERE, "restartPolicy": "Never", "containers": [container], "volumes": volumes}
    core = client.CoreV1Api(alone.api)
    core.create_namespaced_pod(alone.name, {"metadata": {"name": "who"}, "spec": spec})
    over = ("Succeeded", "Failed")
    until("its end", lambda: core.read_namespaced_pod("who", alone.name).status.phase in over, seconds=60)
    said = core.read_namespaced_pod_log("who", alone.name, _preload_content=False).data.decode()
    assert f"system:serviceaccount:{alone.name}:default" in said
