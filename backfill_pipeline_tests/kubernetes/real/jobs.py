"""Jobs that only the real node takes."""

from typing import Any

from backfill_pipeline_tests.kubernetes.cluster import Namespace
from backfill_pipeline_tests.kubernetes.real.image import IMAGE
from backfill_pipeline_tests.kubernetes.real.node import TAINT
from backfill_pipeline_tests.kubernetes.real.settings import NAME
from backfill_pipeline_tests.kubernetes.test_launch import CRONJOB

THERE = {
    "nodeSelector": {"kubernetes.io/hostname": NAME},
    "tolerations": [{"key": TAINT, "operator": "Exists"}],
}


def cronjob(of: Namespace, script: str, *, name: str = CRONJOB, **container: Any) -> None:
    """Its container is a shell that runs this script."""
    of.cronjob(name, "sh", "-c", script, pod=THERE, container={"image": IMAGE, **container})
