"""One PostgreSQL server per session; a database of its own for each test that asks for a source."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.reach import TemporalAddress
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline_tests.worker import servers, targets

_numbers = count()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresAddress]:
    folder: Path = tmp_path_factory.mktemp("postgres") / "data"
    with servers.postgres_server(folder) as address:
        yield address


@pytest.fixture
def source(postgres_server: PostgresAddress) -> PostgresAddress:
    return servers.new_source(postgres_server, f"source{next(_numbers)}")


@pytest.fixture(scope="session")
def gateway_ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """Two ClickHouse engines, each behind its gateway."""
    folder = tmp_path_factory.mktemp("gateways")
    with servers.gateway(folder / "one", 1) as one, servers.gateway(folder / "two", 2) as two:
        yield [one, two]


@pytest.fixture
def target(gateway_ports: list[int]) -> Iterator[ClickHouse]:
    """One shard with empty tables."""
    yield from _empty(gateway_ports[:1])


@pytest.fixture
def two_shards(gateway_ports: list[int]) -> Iterator[ClickHouse]:
    yield from _empty(gateway_ports)


def _empty(ports: list[int]) -> Iterator[ClickHouse]:
    clickhouse = ClickHouse(targets.address_of(ports))
    targets.create(clickhouse)
    yield clickhouse
    clickhouse.close()


@pytest.fixture(scope="module")  # of its own: a worker would carry out what other files' tests left open
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalAddress]:
    with servers.temporal(tmp_path_factory.mktemp("temporal")) as address:
        yield address
