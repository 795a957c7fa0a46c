"""The small window of the fault tests, made once per file."""

import pytest

from backfill_pipeline_tests.faults.windows import Small, small_window
from backfill_pipeline_tests.live import Live


@pytest.fixture(scope="module")
def small(engines: Live) -> Small:
    return small_window(engines)
