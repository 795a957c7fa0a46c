"""A node in namespaces of its own, as their first process: `unshare ... python -m ...node`; see `place.py` for its start.

Networks, mounts and processes go with it, however it ends.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from backfill_pipeline_tests.kubernetes.real import relay
from backfill_pipeline_tests.kubernetes.real.settings import ADDRESS, NAME, SERVICE, TUNABLES, NodeFolder

READY = "containerd and kubelet were started"
CONTAINERD_SECONDS = 30
# Where these programs write whatever they are told: what they put there shall not outlive them.
HIDDEN = ("/run", "/var/lib", "/var/log")
TAINT = "backfill-pipeline/real-node"


def main() -> None:
    given = _arguments()
    folder = NodeFolder(given.folder, given.packages, given.group)
    os.environ["PATH"] = f"{given.packages}/usr/bin:{given.packages}/usr/sbin:{os.environ['PATH']}"
    _hide_the_machine(folder)
    _make_network()
    parts = {
        _started(*_relay(given)): "relay",
        _started("containerd", "-c", f"{folder.path}/containerd.toml"): "containerd",
    }
    _import_image(folder)
    parts[_started(*_kubelet(folder, given))] = "kubelet"
    print(READY, flush=True)
    _until_one_ends(parts)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="node", description=__doc__)
    for name in ("--folder", "--packages", "--programs", "--kubeconfig"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--group", required=True, help="the control group that its containers are made in")
    parser.add_argument("--api", required=True, help="HOST:PORT as in the kubeconfig")
    parser.add_argument("--kubelet", required=True, help="HOST:PORT that the kubelet listens on")
    parser.add_argument(
        "--reach", nargs="*", default=(), help="HOST:PORT that pods of the node's network reach as such"
    )
    return parser.parse_args()


def _hide_the_machine(folder: NodeFolder) -> None:
    mount = ("mount", "--no-mtab")  # else it keeps notes in the machine's /run
    for path in HIDDEN:
        _run(*mount, "-t", "tmpfs", "node", path)
    for name in TUNABLES:
        _run(*mount, "--bind", str(folder.tunable(name)), f"/proc/sys/{name}")


def _make_network() -> None:
    _run("ip", "link", "set", "lo", "up")
    for address in (ADDRESS, SERVICE.split(":")[0]):
        _run("ip", "address", "add", f"{address}/32", "dev", "lo")


def _relay(given: argparse.Namespace) -> tuple[str, ...]:
    """The API server at the address of its kubeconfig, and at the one that pods are told."""
    out, back = sockets(given.folder)
    beyond = [(address, socket_to(given.folder, address)) for address in given.reach]
    return relay.command((given.api, out), (SERVICE, out), (back, given.kubelet), *beyond)


def sockets(folder: Path) -> tuple[str, str]:
    """To the API server, and to the kubelet."""
    return f"{folder}/api.sock", f"{folder}/kubelet.sock"


def socket_to(folder: Path, address: str) -> str:
    return f"{folder}/{address}.sock"


def _kubelet(folder: NodeFolder, given: argparse.Namespace) -> tuple[str, ...]:
    options = {
        "--kubeconfig": given.kubeconfig,
        "--config": folder.path / "kubelet.yaml",
        "--root-dir": folder.path / "kubelet",
        "--cert-dir": folder.path / "kubelet" / "certificates",
        "--hostname-override": NAME,
        "--node-ip": ADDRESS,
        "--register-with-taints": f"{TAINT}=:NoSchedule",  # Jobs of other tests are not meant for it
    }
    return (str(given.programs / "kubelet"), *(f"{k}={v}" for k, v in options.items()))


def _import_image(folder: NodeFolder) -> None:
    control = ("ctr", "--address", str(folder.socket), "--namespace", "k8s.io")
    end = time.monotonic() + CONTAINERD_SECONDS
    while subprocess.run([*control, "version"], capture_output=True, timeout=CONTAINERD_SECONDS).returncode:
        if time.monotonic() > end:
            sys.exit(f"containerd did not answer within {CONTAINERD_SECONDS} s")
        time.sleep(0.1)
    _run(*control, "images", "import", str(folder.image))


def _run(*command: str) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, timeout=60, check=True)


def _started(*command: str) -> int:
    return subprocess.Popen(command, stdin=subprocess.DEVNULL).pid


def _until_one_ends(parts: Mapping[int, str]) -> NoReturn:
    """The first process of its namespace also gets all that lost their parent."""
    while True:
        pid, status = os.wait()
        if pid in parts:
            sys.exit(f"{parts[pid]} ended with {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
