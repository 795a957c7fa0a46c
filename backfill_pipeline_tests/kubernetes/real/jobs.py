"""Jobs that only the real node takes."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backfill_pipeline.stack.processes import PROJECT
from backfill_pipeline_tests.kubernetes.cluster import Namespace
from backfill_pipeline_tests.kubernetes.real.image import IMAGE
from backfill_pipeline_tests.kubernetes.real.node import TAINT
from backfill_pipeline_tests.kubernetes.real.settings import NAME
from backfill_pipeline_tests.kubernetes.test_launch import CRONJOB

THERE = {
    "nodeSelector": {"kubernetes.io/hostname": NAME},
    "tolerations": [{"key": TAINT, "operator": "Exists"}],
}
LIBRARIES = [p for p in (Path("/usr"), Path("/lib"), Path("/lib64")) if p.exists()]
# An image with Python would be this machine's files too: they are mounted instead.
MACHINE = sorted({*LIBRARIES, Path(sys.base_prefix), Path(sys.prefix), PROJECT})


def mounted(folders: Sequence[Path]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Folders of this machine, in a pod at the same place and read only: its volumes, and its container's mounts."""
    volumes = [{"name": f"m{i}", "hostPath": {"path": str(p)}} for i, p in enumerate(folders)]
    return volumes, [{"name": f"m{i}", "mountPath": str(p), "readOnly": True} for i, p in enumerate(folders)]


def cronjob(of: Namespace, script: str, *, name: str = CRONJOB, **container: Any) -> None:
    """Its container is a shell that runs this script."""
    of.cronjob(name, "sh", "-c", script, pod=THERE, container={"image": IMAGE, **container})
