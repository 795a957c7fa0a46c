"""Runs transfers in the test's own process."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from backfill_pipeline.config import Limits, PostgresAddress
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.worker.transfer.cursor import Cursor
from backfill_pipeline.worker.transfer.engine import Transfer
from backfill_pipeline.worker.transfer.recipes import RECIPES
from backfill_pipeline.worker.transfer.slices import Pace, Request
from backfill_pipeline_tests.worker.people import DAY

VERSION = datetime(2026, 2, 1, 12, 0, 0, 123456, tzinfo=UTC)


@dataclass
class Watching:
    """Keeps what it was told; asks to stop after so many cursors."""

    stop_after: int | None = None
    cursors: list[Cursor] = field(default_factory=list)
    moves: int = 0

    def alive(self) -> None:
        self.moves += 1

    def reached(self, cursor: Cursor) -> None:
        self.cursors.append(cursor)

    def must_stop(self) -> bool:
        return self.stop_after is not None and len(self.cursors) >= self.stop_after


def transfer(
    source: PostgresAddress,
    clickhouse: ClickHouse,
    *,
    customer: str = "acme",
    profile: str = "default",
    days: int = 1,
    version: datetime = VERSION,
    watch: Watching | None = None,
    dataset: str = "conversations",
    pace: Pace | None = None,
    **limits: int,
) -> Transfer:
    request = Request(customer, profile, DAY, DAY + timedelta(days=days))
    return Transfer(
        Postgres(source), clickhouse, RECIPES[dataset], request, version, Limits(**limits), watch or Watching(), pace
    )
