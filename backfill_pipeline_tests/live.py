"""Real parts for tests: one embedded stack per session, its systems, and the independent judge of what it holds."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from uuid import uuid4

from backfill_pipeline.config import Config, load
from backfill_pipeline.domain.plans import Claim
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stack.demo_data import FIRST_DAY, Planted, generate
from backfill_pipeline.stack.state import StackState
from backfill_pipeline.steps.systems import Systems, open_systems
from backfill_pipeline_tests.e2e.compare import Differences, differences

SIZE = 0.06  # 9 conversations per customer and day, 180 for the large one
DAYS = 10
WHOLE = Window(FIRST_DAY, date(2026, 1, 11))


@dataclass(frozen=True)
class Live:
    """A running stack and its configuration. The environment of this process already names them."""

    state: StackState
    config: Config
    lines: list[str] = field(default_factory=list)

    @contextmanager
    def systems(self, cluster: str) -> Iterator[Systems]:
        """Systems of a cluster; what they log goes to `lines`."""
        systems = open_systems(self.config, cluster, self.lines.append)
        systems.ledger.ensure_schema()
        try:
            yield systems
        finally:
            systems.close()

    def claim(self, cluster: str, customer: str, window: Window = WHOLE, *, dataset: str = "conversations") -> Claim:
        """A new attempt at these days, as a new Dagster run would make it."""
        profiles = tuple(self.config.cluster(cluster).customer(customer).profiles)
        return Claim(str(uuid4()), str(uuid4()), cluster, customer, profiles, dataset, window)

    def make_data(self, *, size: float = SIZE, days: int = DAYS, odd: bool = False) -> Planted:
        """Both sides anew, with planted defects."""
        folder = self.state.folder / "demo"
        return generate(self.config, size=size, days=days, folder=folder, odd_rows=odd)

    def wrong_rows(self, cluster: str, customer: str, window: Window) -> dict[str, list[tuple[str, ...]]]:
        """Missing, extra and different rows of some days; a double whose other row lies outside them is not theirs."""
        found = self.differences(cluster, customer, window)
        assert found.expected > 0
        kinds = ("missing", "extra", "different", "appeals")
        return {k: ids for k in kinds if (ids := [i for t in found.tables.values() for i in getattr(t, k)])}

    def source_dsn(self, cluster: str) -> str:
        address = self.config.cluster(cluster).postgres
        assert address is not None
        return (
            f"host={address.host} port={address.port} dbname={address.database} user={address.user} "
            f"password={address.password()}"
        )

    def differences(
        self, cluster: str, customer: str, window: Window = WHOLE, *, process: bool = False, labels: bool = False
    ) -> Differences:
        """Row by row, by a judge that shares nothing with what loads or verifies.

        process, labels: also these datasets; otherwise conversations alone.
        """
        shards = [(g.host, g.port) for g in self.state.gateways[cluster]]
        days = (window.start, window.end)
        return differences(self.source_dsn(cluster), shards, customer, *days, process=process, labels=labels)


STACKS = ("engines", "pipeline")  # names of the session's fixtures
_environments: dict[str, dict[str, str]] = {}


def live(name: str, state: StackState) -> Live:
    """A started stack, whose environment this process has from now on."""
    _environments[name] = state.environment()
    use_environment(name)
    return Live(state, load(state.config_path))


def use_environment(name: str) -> None:
    """Password, configuration and Dagster's home of a stack, if it has been started."""
    os.environ.update(_environments.get(name, {}))
