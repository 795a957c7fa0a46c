"""What a cluster's systems do through forwards: real PostgreSQL, ClickHouse and Temporal behind the stand-in's TCP."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backfill_pipeline.clients.port_forward.forwarded import forwarded
from backfill_pipeline.config import Config, ConfigError, PostgresAddress, TemporalAddress, required
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.steps.systems import open_systems
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline_tests.clients.forwards import Standin, gone
from backfill_pipeline_tests.clients.jobs import wait_for
from backfill_pipeline_tests.worker import servers


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresAddress]:
    with servers.postgres_server(tmp_path_factory.mktemp("postgres") / "data") as address:
        yield address


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with servers.gateway(tmp_path_factory.mktemp("gateway") / "one", 1) as port:
        yield port


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalAddress]:
    with servers.temporal(tmp_path_factory.mktemp("temporal")) as address:
        yield address


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    found = Standin(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("PATH", found.path())
    yield found
    gone(Standin(tmp_path), seconds=30)  # the pace is that of every day: ten seconds without a user


def leads_to(standin: Standin, name: str, port: int) -> dict[str, Any]:
    """A forward's keys; each has a kubeconfig of its own, which tells the stand-in where to."""
    folder = standin.folder / name
    folder.mkdir()
    Standin(folder).does(to=port)
    return {
        "target": f"service/{name}",
        "port": 4321,
        "namespace": "databases",
        "context": "north",
        "kubeconfig": str(folder / "kubeconfig"),
    }


def config(**addresses: Any) -> Config:
    cluster = {"name": "north", "customers": [{"id": "acme"}], **addresses}
    ledger = {"host": "127.0.0.1", "database": "ledger"}
    return Config.model_validate({"clusters": [cluster], "ledger": ledger})


def kubectl_of(standin: Standin, name: str) -> int:
    return Standin(standin.folder / name).kubectl()


def test_all_systems_of_a_cluster_answer_through_forwards_and_none_is_left(
    standin: Standin, postgres: PostgresAddress, clickhouse: int, temporal: TemporalAddress
) -> None:
    replicas = [{"forward": leads_to(standin, "clickhouse", clickhouse)}]
    given = config(
        postgres={"database": "postgres", "forward": leads_to(standin, "postgres", postgres.port)},
        clickhouse={"shards": [{"replicas": replicas}]},
        temporal={
            "namespace": temporal.namespace,
            "forward": leads_to(standin, "temporal", int(temporal.address.rpartition(":")[2])),
        },
    )
    systems = open_systems(given, "north", print)
    try:
        assert systems.postgres.now()
        assert systems.clickhouse.now()
        systems.temporal.check()
    finally:
        systems.close()
    pids = [kubectl_of(standin, name) for name in ("postgres", "clickhouse", "temporal")]
    wait_for(lambda: not any(Path(f"/proc/{p}").exists() for p in pids), "the end of every kubectl", 30)


def test_a_query_works_again_after_the_forward_was_lost(standin: Standin, postgres: PostgresAddress) -> None:
    given = config(postgres={"database": "postgres", "forward": leads_to(standin, "it", postgres.port)})
    with forwarded(given.cluster("north")) as cluster:
        assert cluster.postgres
        assert (cluster.postgres.host, cluster.postgres.sslmode) == ("127.0.0.1", "disable")
        store = Postgres(cluster.postgres)
        with store.connection() as connection:
            os.kill(kubectl_of(standin, "it"), signal.SIGUSR1)
            with pytest.raises(PipelineError) as lost, store.translated():
                connection.execute("SELECT pg_sleep(30)")
        assert lost.value.kind in (Kind.RETRY, Kind.UNREACHABLE)
        assert "service/it:4321 in databases of north" in lost.value.where
        wait_for(lambda: _answers(store), "a query through the forward", 20)


def _answers(store: Postgres) -> bool:
    try:
        return store.now() is not None
    except PipelineError:
        return False


def test_one_forward_that_does_not_open_leaves_the_others_to_nobody(
    standin: Standin, postgres: PostgresAddress, clickhouse: int
) -> None:
    away = leads_to(standin, "clickhouse", clickhouse)
    Standin(standin.folder / "clickhouse").does(fails='Error from server (NotFound): services "clickhouse" not found')
    given = config(
        postgres={"database": "postgres", "forward": leads_to(standin, "postgres", postgres.port)},
        clickhouse={"shards": [{"replicas": [{"forward": away}]}]},
        temporal={"address": "127.0.0.1:1"},
    )
    with pytest.raises(PipelineError, match="service/clickhouse") as raised:
        open_systems(given, "north", print)
    assert raised.value.kind is Kind.MISSING
    wait_for(lambda: not Path(f"/proc/{kubectl_of(standin, 'postgres')}").exists(), "the end of the other", 30)


def test_an_address_that_is_missing_leaves_no_forward_open(standin: Standin, postgres: PostgresAddress) -> None:
    given = config(postgres={"database": "postgres", "forward": leads_to(standin, "postgres", postgres.port)})
    with pytest.raises(ConfigError, match=r"\[name=north\].clickhouse"):
        open_systems(given, "north", print)
    wait_for(lambda: not Path(f"/proc/{kubectl_of(standin, 'postgres')}").exists(), "its end", 30)


def test_a_forward_that_nobody_opened_is_never_taken_for_a_server_of_this_machine(postgres: PostgresAddress) -> None:
    forward = {"target": "service/it", "port": postgres.port, "namespace": "d", "context": "north"}
    address = config(postgres={"database": "postgres", "forward": forward}).cluster("north").postgres
    with pytest.raises(ConfigError, match="behind a port-forward that is not open"):
        required(address, "north", "postgres")
    assert address
    assert address.port == 0


def test_a_cluster_without_forwards_needs_no_kubectl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    cluster = config(postgres={"host": "db", "database": "app"}).cluster("north")
    with forwarded(cluster) as same:
        assert same is cluster


def test_a_keeper_is_small_and_quick() -> None:
    """It is there for each forward, next to what it serves: no pydantic, no driver, no Dagster."""
    code = "import sys, backfill_pipeline.clients.port_forward.keeper; print([m for m in sys.modules if m in %r])"
    heavy = ["pydantic", "dagster", "psycopg", "yaml", "kubernetes", "temporalio"]
    done = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
