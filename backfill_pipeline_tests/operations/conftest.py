"""The embedded stack's ledger, and customers with a past in it."""

from collections.abc import Iterator

import pytest

from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline_tests.clients.workflows import Started
from backfill_pipeline_tests.live import Live


@pytest.fixture(scope="session")
def ledger(engines: Live) -> Ledger:
    ledger = open_ledger(engines.config)
    ledger.ensure_schema()
    return ledger


@pytest.fixture
def started(engines: Live) -> Iterator[Started]:
    address = engines.config.cluster("north").temporal
    assert address
    workflows = Started(address)
    yield workflows
    workflows.close()
