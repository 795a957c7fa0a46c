"""The embedded stack's ledger, and customers with a past in it."""

import pytest

from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline_tests.live import Live


@pytest.fixture(scope="session")
def ledger(engines: Live) -> Ledger:
    ledger = open_ledger(engines.config)
    ledger.ensure_schema()
    return ledger
