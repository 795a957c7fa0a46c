"""One PostgreSQL server per session; a database of its own for each test that asks for a source."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline_tests.worker import servers

_numbers = count()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresAddress]:
    folder: Path = tmp_path_factory.mktemp("postgres") / "data"
    with servers.postgres_server(folder) as address:
        yield address


@pytest.fixture
def source(postgres_server: PostgresAddress) -> PostgresAddress:
    return servers.new_source(postgres_server, f"source{next(_numbers)}")
