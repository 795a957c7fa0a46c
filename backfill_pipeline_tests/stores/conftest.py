"""The stores of the embedded stack: its ledger, with a lease that a test can wait out, and databases of their own."""

from collections.abc import Iterator
from itertools import count

import pytest

from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline_tests.live import Live
from backfill_pipeline_tests.worker import servers, targets

LEASE_SECONDS = 1.2
_numbers = count()


@pytest.fixture(scope="session")
def ledger(engines: Live) -> Ledger:
    ledger = open_ledger(engines.config)
    ledger.ensure_schema()
    return ledger


@pytest.fixture(scope="session")
def hasty(engines: Live) -> Ledger:
    """The same ledger, whose leases end soon."""
    ledger = open_ledger(engines.config)
    ledger.lease_seconds = LEASE_SECONDS
    return ledger


@pytest.fixture(scope="module")
def scratch(engines: Live) -> Iterator[ClickHouse]:
    """Two shards in a database of their own, beside the demo's rows."""
    address = engines.config.cluster("south").clickhouse
    assert address
    name = f"scratch_{next(_numbers)}"
    for shard in ClickHouse(address).shards:
        shard.client().command(f"CREATE DATABASE {name}")
    clickhouse = ClickHouse(address.model_copy(update={"database": name}))
    yield clickhouse
    for shard in clickhouse.shards:
        shard.client().command(f"DROP DATABASE {name} SYNC")
    clickhouse.close()


@pytest.fixture
def target(scratch: ClickHouse) -> ClickHouse:
    """The same with empty tables."""
    targets.create(scratch)
    return scratch


@pytest.fixture
def source(engines: Live) -> Postgres:
    """An empty source in a database of its own."""
    address = engines.config.cluster("south").postgres
    assert address
    return Postgres(servers.new_source(address, f"scratch_{next(_numbers)}"))
