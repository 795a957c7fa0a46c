"""What containerd, its network plugins and the kubelet are told. Pure: folders in, files out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backfill_pipeline_tests.kubernetes.real.image import IMAGE

# The API server dials the name, as it can't reach the address: that one is in the node's own network only.
NAME, ADDRESS = "localhost", "198.51.100.10"
# The address that pods are told for the API server, first of the control plane's range of services.
SERVICE = "10.0.0.1:443"
PODS = "10.88.0.0/24"
# Of the kernel, and so of the whole machine: the kubelet wants these, and is shown files of its own that say so.
TUNABLES = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
CONTAINERD = """
version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-state"
disabled_plugins = [{without}]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{packages}/usr/lib/cni"
    conf_dir = "{folder}/network"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "{packages}/usr/sbin/runc"
"""
SNAPSHOTTERS = ("aufs", "btrfs", "devmapper", "zfs")  # only overlayfs is used
WITHOUT = (*(f"io.containerd.snapshotter.v1.{s}" for s in SNAPSHOTTERS), "io.containerd.internal.v1.opt")


@dataclass(frozen=True)
class NodeFolder:
    """What a node keeps, and where it finds its programs. group: the control group that its containers are made in."""

    path: Path
    packages: Path
    group: str

    @property
    def socket(self) -> Path:
        return self.path / "containerd.sock"

    @property
    def image(self) -> Path:
        return self.path / "image.tar"

    def write(self, kubelet_port: int, kubelet_client: Path) -> None:
        """kubelet_client: the certificate of the only one that the kubelet lets in."""
        for name in ("network", "kubelet", "pod-logs", "plugins", "sysctl"):
            (self.path / name).mkdir()
        containerd = {"folder": self.path, "socket": self.socket, "packages": self.packages, "image": IMAGE}
        without = json.dumps(WITHOUT)[1:-1]
        (self.path / "containerd.toml").write_text(CONTAINERD.format(**containerd, without=without))
        self._write_json("network/10-bridge.conflist", self._network())
        self._write_json("kubelet.yaml", self._kubelet(kubelet_port, kubelet_client))
        (self.path / "resolv.conf").write_text("")  # no name is looked up anywhere
        for name, value in TUNABLES.items():
            self.tunable(name).write_text(f"{value}\n")

    def tunable(self, name: str) -> Path:
        return self.path / "sysctl" / name.replace("/", ".")

    def _write_json(self, name: str, tree: Mapping[str, Any]) -> None:
        (self.path / name).write_text(json.dumps(tree, indent=1))

    def _network(self) -> Mapping[str, Any]:
        ipam = {
            "type": "host-local",
            "dataDir": f"{self.path}/addresses",
            "ranges": [[{"subnet": PODS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {"type": "bridge", "bridge": "pods0", "isGateway": True, "ipMasq": False, "ipam": ipam}
        return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}

    def _kubelet(self, port: int, client: Path) -> Mapping[str, Any]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": ADDRESS,
            "port": port,
            "healthzPort": 0,
            # Who reaches it may run commands in its containers, as root of this machine: only the API server may.
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": str(client)},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.group}",
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "resolvConf": f"{self.path}/resolv.conf",
            "podLogsDir": f"{self.path}/pod-logs",
            "volumePluginDir": f"{self.path}/plugins",
            # The machine's memory and disk are other people's too: a full disk is no reason to throw pods out.
            "evictionHard": {"memory.available": "1Mi", "nodefs.available": "1Mi", "imagefs.available": "1Mi"},
            "localStorageCapacityIsolation": False,
        }
