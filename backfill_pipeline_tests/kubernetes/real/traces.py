"""What a node could leave on its machine: looked at before it is started and after it is gone."""

from pathlib import Path

import psutil

from backfill_pipeline_tests.kubernetes.real.cgroups import hierarchies, own_name
from backfill_pipeline_tests.kubernetes.real.node import HIDDEN
from backfill_pipeline_tests.kubernetes.real.settings import TUNABLES

# Names that only a node brings: what others do on this machine meanwhile counts for nothing.
FOLDERS = ("containerd", "kubelet", "cni", "netns", "runc", "mount", "containers", "pods")
NETWORKS = ("veth", "pods", "cni")


def traces(folder: Path) -> dict[str, list[str]]:
    return {
        "mounts": [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(folder) in line],
        "processes": processes_with(str(folder)),
        "control groups": [str(h / own_name()) for h in hierarchies() if (h / own_name()).exists()],
        "networks": sorted(n.name for n in Path("/sys/class/net").iterdir() if n.name.startswith(NETWORKS)),
        "settings": [f"{name}={Path('/proc/sys', name).read_text().strip()}" for name in TUNABLES],
        "folders": [str(Path(h, name)) for h in HIDDEN for name in FOLDERS if Path(h, name).exists()],
    }


def processes_with(text: str) -> list[str]:
    """Their commands."""
    commands = (" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"]))
    return sorted(c for c in commands if text in c)
