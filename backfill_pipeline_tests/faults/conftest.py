"""The small window, made once per file; each case damages it anew."""

import pytest

from backfill_pipeline_tests.faults.windows import Small, small_window
from backfill_pipeline_tests.live import Live


@pytest.fixture(scope="module")
def small(engines: Live) -> Small:
    return small_window(engines)
