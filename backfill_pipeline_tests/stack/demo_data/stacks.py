"""Two clusters on real parts: `north` with one shard, `south` with two; a PostgreSQL database each."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from backfill_pipeline.config import Cluster, Config
from backfill_pipeline.stack.demo_data.clickhouse_side import LabelsForm
from backfill_pipeline_tests.worker import servers

NORTH = [{"id": "acme"}, {"id": "globex", "profiles": ["retail", "support"]}, {"id": "acme-east"}]
SOUTH = [{"id": "initech"}, {"id": "umbrella"}, {"id": "hooli"}]


@contextmanager
def two_clusters(folder: Path) -> Iterator[Config]:
    with ExitStack() as stack:
        postgres = stack.enter_context(servers.postgres_server(folder / "postgres"))
        ports = [stack.enter_context(servers.gateway(folder / f"shard{i}")) for i in range(3)]
        north = _cluster("north", servers.new_source(postgres, "north"), ports[:1], NORTH)
        south = _cluster("south", servers.new_source(postgres, "south"), ports[1:], SOUTH)
        yield Config.model_validate({"clusters": [north, south]})


def _cluster(name: str, postgres: object, ports: list[int], customers: list[Any]) -> dict[str, Any]:
    shards = [{"replicas": [{"host": "127.0.0.1", "port": port}]} for port in ports]
    return {"name": name, "customers": customers, "postgres": postgres, "clickhouse": {"shards": shards}}


def dsn(cluster: Cluster) -> str:
    assert cluster.postgres
    return f"postgresql://{cluster.postgres.user}@127.0.0.1:{cluster.postgres.port}/{cluster.postgres.database}"


def addresses(cluster: Cluster) -> list[tuple[str, int]]:
    assert cluster.clickhouse
    return [(s.replicas[0].host, s.replicas[0].port) for s in cluster.clickhouse.shards]


def shard_client(cluster: Cluster, shard: int) -> Client:
    host, port = addresses(cluster)[shard]
    return clickhouse_connect.get_client(host=host, port=port, autogenerate_session_id=False)


def make_labels_anew(cluster: Cluster, form: LabelsForm) -> None:
    """Empty tables of labels in this form on every shard, whatever was there."""
    schema = resources.files("backfill_pipeline.stack.schema").joinpath(f"labels_{form}.sql").read_text()
    for shard in range(len(addresses(cluster))):
        client = shard_client(cluster, shard)
        for table in ("conversation_with_labels_d", "conversation_with_labels"):
            client.command(f"DROP TABLE IF EXISTS {table} SYNC")
        for statement in schema.strip().removesuffix(";").split(";\n"):
            client.command(statement)
