"""One embedded stack (without Dagster) for all tests that need real parts; it starts when the first one asks."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill_pipeline.stack.embedded_config import PARTS
from backfill_pipeline.stack.supervisor import Stack
from backfill_pipeline_tests.live import STACKS, Live, live, use_environment

# A shell's background job ignores Ctrl-C, and so would every process that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Two stacks may run in one session; a test's own one is what the environment names, before any fixture of it."""
    for name in STACKS:
        if name in getattr(item, "fixturenames", ()):
            use_environment(name)


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """PostgreSQL, ClickHouse gateways, Temporal and workers of both clusters; data is made by whoever needs it."""
    folder = Path(tmp_path_factory.mktemp("stack"))
    with Stack(folder, parts=PARTS - {"dagster"}) as state:
        yield live("engines", state)
