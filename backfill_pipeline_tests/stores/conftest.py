"""The ledger of the embedded stack, with a lease that a test can wait out."""

import pytest

from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline_tests.live import Live

LEASE_SECONDS = 0.6


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
