from collections.abc import Iterator

import dagster as dg
import pytest

from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.pauses import end_pause
from backfill_pipeline_tests.defs.ended import Site
from backfill_pipeline_tests.live import Live


@pytest.fixture
def site(engines: Live) -> Iterator[Site]:
    with dg.instance_for_test() as instance:
        site = Site(instance, open_ledger(engines.config))
        yield site
    end_pause(site.ledger, site.cluster)
