"""One real node for these tests, beside the stand-in that the same control plane has."""

import time
from collections.abc import Iterator

import pytest

from backfill_pipeline_tests.kubernetes.cluster import TestCluster
from backfill_pipeline_tests.kubernetes.real.cannot import check_machine
from backfill_pipeline_tests.kubernetes.real.place import RealNode, real_node


@pytest.fixture(scope="session")
def machine() -> None:
    """Asked for first: nobody waits for a control plane to learn that no node can be had."""
    check_machine()


@pytest.fixture(scope="package")
def node(machine: None, control_plane: TestCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealNode]:
    started = time.monotonic()
    with real_node(control_plane.plane, tmp_path_factory.mktemp("node")) as found:
        print(f"real node: ready after {time.monotonic() - started:.1f} s")
        yield found
        print("real node: " + ", ".join(f"{n} {b >> 20} MiB" for n, b in found.memory().items()))
        ended = time.monotonic()
    print(f"real node: gone after {time.monotonic() - ended:.1f} s")
