"""A small demo on two clusters, filled once for this folder's tests; none of them changes it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from backfill_pipeline.config import Config
from backfill_pipeline.stack.demo_data import Planted, generate
from backfill_pipeline_tests.stack.demo_data import stacks


@dataclass(frozen=True)
class Demo:
    config: Config
    planted: Planted
    folder: Path

    def refill(self, folder: Path) -> Planted:
        """The same rows once more."""
        p = self.planted
        return generate(self.config, size=p.size, first_day=p.first_day, days=p.days, folder=folder, odd_rows=True)


@pytest.fixture(scope="package")
def empty_clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    with stacks.two_clusters(tmp_path_factory.mktemp("demo")) as config:
        yield config


@pytest.fixture(scope="package")
def demo(empty_clusters: Config, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Six days over the turn of a month, with rows that fit no dataset."""
    folder = tmp_path_factory.mktemp("planted")
    first = date(2026, 1, 29)
    planted = generate(empty_clusters, size=0.05, first_day=first, days=6, folder=folder, odd_rows=True)
    return Demo(empty_clusters, planted, folder)
