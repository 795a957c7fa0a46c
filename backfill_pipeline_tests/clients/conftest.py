"""A client of the Temporal that the test module's `address` names, workflows made up there, and a stand-in for kubectl."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill_pipeline.clients.temporal import Temporal
from backfill_pipeline.config import TemporalAddress
from backfill_pipeline_tests.clients.forwards import Standin, echo, gone
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


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    """Leads to a server that echoes; nothing of it is there after the test."""
    found = Standin(tmp_path)
    monkeypatch.setenv("PATH", found.path())
    with echo() as port:
        yield found.does(to=port)
        gone(found)
