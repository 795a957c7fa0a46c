from collections.abc import Iterator

import dagster as dg
import pytest

from backfill_pipeline.defs import retry
from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.pauses import end_pause
from backfill_pipeline_tests.defs.ended import Site
from backfill_pipeline_tests.live import Live


@pytest.fixture
def site(engines: Live, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A tick of it shows all there is to show, however busy the machine is."""
    monkeypatch.setattr(retry, "SHOWING_SECONDS", 600)
    with dg.instance_for_test() as instance:
        site = Site(instance, open_ledger(engines.config))
        yield site
    end_pause(site.ledger, site.cluster)
