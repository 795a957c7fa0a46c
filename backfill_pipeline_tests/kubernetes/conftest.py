"""One control plane per session, a namespace per test."""

from collections.abc import Iterator
from itertools import count

import pytest
from kubernetes import client

from backfill_pipeline.clients.kubernetes.jobs import KubernetesJobs
from backfill_pipeline_tests.kubernetes.account import logged_in
from backfill_pipeline_tests.kubernetes.cluster import Namespace, TestCluster, cluster, namespace

_numbers = count()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestCluster]:
    with cluster(tmp_path_factory.mktemp("kubernetes")) as found:
        yield found


@pytest.fixture
def alone(control_plane: TestCluster) -> Iterator[Namespace]:
    with namespace(control_plane, f"test{next(_numbers)}") as found:
        yield found


@pytest.fixture
def jobs(alone: Namespace) -> Iterator[KubernetesJobs]:
    launcher = KubernetesJobs(alone.api, alone.name, "stack")
    yield launcher
    launcher.close()


@pytest.fixture
def account(alone: Namespace) -> Iterator[client.ApiClient]:
    """Logged in with a token of the account that deploy/ makes."""
    with logged_in(alone) as api:
        yield api
