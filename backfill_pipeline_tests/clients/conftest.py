"""A client of the Temporal that the test module's `address` names, and workflows made up there."""

from collections.abc import Iterator

import pytest

from backfill_pipeline.clients.temporal import Temporal
from backfill_pipeline.config import TemporalAddress
from backfill_pipeline_tests.clients.workflows import Started


@pytest.fixture
def temporal(address: TemporalAddress) -> Iterator[Temporal]:
    connected = Temporal(address)
    yield connected
    connected.close()


@pytest.fixture
def started(address: TemporalAddress) -> Iterator[Started]:
    workflows = Started(address)
    yield workflows
    workflows.close()
