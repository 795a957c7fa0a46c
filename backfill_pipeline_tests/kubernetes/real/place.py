"""A real node for a test cluster: started, ready, and gone without a trace."""

import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from kubernetes import client

from backfill_pipeline.clients.loopback import LOOPBACK
from backfill_pipeline.stack.kubernetes.control_plane import API, ControlPlane
from backfill_pipeline.stack.ports import choose_ports
from backfill_pipeline.stack.probes import Listens, Says
from backfill_pipeline.stack.processes import Process
from backfill_pipeline.stack.watch import Watch
from backfill_pipeline_tests.kubernetes.cluster import administrator, until, watched
from backfill_pipeline_tests.kubernetes.real import node, relay
from backfill_pipeline_tests.kubernetes.real.cgroups import own_group
from backfill_pipeline_tests.kubernetes.real.image import write_image
from backfill_pipeline_tests.kubernetes.real.packages import unpacked
from backfill_pipeline_tests.kubernetes.real.settings import ADDRESS, NAME, NodeFolder
from backfill_pipeline_tests.kubernetes.real.traces import traces

NODE, RELAY = "real-node", "relay"
ALONE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


@dataclass(frozen=True)
class RealNode:
    watch: Watch
    port: int  # of its kubelet, on loopback

    def child(self, name: str) -> psutil.Process:
        child = self.watch._slots[name].child
        assert child
        return psutil.Process(child.id.pid)

    def memory(self) -> dict[str, int]:
        """Bytes resident, by program."""
        found: dict[str, int] = {}
        for process in self.child(NODE).children(recursive=True):
            found[process.name()] = found.get(process.name(), 0) + process.memory_info().rss
        return found


@contextmanager
def real_node(of: ControlPlane, path: Path, reach: Sequence[str] = ()) -> Iterator[RealNode]:
    """reach: HOST:PORT on loopback that pods which share the node's network find there too."""
    packages, before = unpacked(), traces(path)
    (port,) = choose_ports([NODE], {}).values()
    try:
        with (
            own_group() as group,
            watched(_processes(of, NodeFolder(path, packages, group), port, reach), NODE) as watch,
        ):
            _until_ready(of)
            yield RealNode(watch, port)
    finally:
        shutil.rmtree(path)
    assert traces(path) == before
    with administrator(of) as api:
        client.CoreV1Api(api).delete_node(NAME)


def _processes(of: ControlPlane, folder: NodeFolder, port: int, reach: Sequence[str]) -> Sequence[Process]:
    folder.write(port, of.kubelet_client)
    write_image(folder.packages / "bin" / "busybox", folder.image)
    out, back = node.sockets(folder.path)
    beyond = [(node.socket_to(folder.path, address), address) for address in reach]
    api, kubelet = f"{LOOPBACK}:{of.ports[API]}", f"{LOOPBACK}:{port}"
    return (
        Process(RELAY, relay.command((out, api), (kubelet, back), *beyond), of.logs / "relay.log", ready=Listens(port)),
        Process(
            NODE,
            (*ALONE, *_command(of, folder, api, f"{ADDRESS}:{port}"), "--reach", *reach),
            of.logs / "real-node.log",
            ready=Says(node.READY),
            after=(RELAY,),
            stop=signal.SIGKILL,  # `unshare` heeds no other, and nothing shall go on when the tests are killed
        ),
    )


def _command(of: ControlPlane, folder: NodeFolder, api: str, kubelet: str) -> tuple[str, ...]:
    options = {
        "--folder": folder.path,
        "--packages": folder.packages,
        "--programs": of.programs,
        "--kubeconfig": of.kubeconfig,
        "--group": folder.group,
        "--api": api,
        "--kubelet": kubelet,
    }
    return (sys.executable, "-m", node.__name__, *(str(part) for pair in options.items() for part in pair))


def _until_ready(of: ControlPlane) -> None:
    with administrator(of) as api:
        core = client.CoreV1Api(api)
        until("the node is there", lambda: [n for n in core.list_node().items if n.metadata.name == NAME])
        until("the node is ready", lambda: _is_ready(core), seconds=60)
        # No controller of ours takes away the taint of a new node.
        core.patch_node(NAME, {"spec": {"taints": [{"key": node.TAINT, "effect": "NoSchedule"}]}})


def _is_ready(core: client.CoreV1Api) -> bool:
    conditions = core.read_node(NAME).status.conditions or []
    return any(c.type == "Ready" and c.status == "True" for c in conditions)
