"""Ended conversations of a customer in a stack's source, and what the labels of them are in its target."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from backfill_pipeline.config import required
from backfill_pipeline.domain.plans import Claim
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline_tests.live import Live
from backfill_pipeline_tests.worker import targets

CUSTOMERS = {"north": "acme", "south": "initech"}
DAY = datetime(2026, 1, 15, tzinfo=UTC)
LONG_AGO = DAY + timedelta(days=5)
HOUR = timedelta(hours=1)


_CHAT = b"""
INSERT INTO app.chats
VALUES (%(customer)s, 'default', %(chat)s, %(conversation)s, %(agent_user_id)s, false, %(started_at)s, %(ended_at)s,
        %(updated_at)s)
ON CONFLICT (customer_id, profile_id, chat_id) DO UPDATE
SET agent_user_id = excluded.agent_user_id, started_at = excluded.started_at, ended_at = excluded.ended_at,
    updated_at = excluded.updated_at
"""
_EVENT = b"INSERT INTO app.agent_assist_events VALUES (%s, 'default', %s, %s, %s)"


def days(first: int, last: int) -> Window:
    """Days of January, both inclusive."""
    return Window(date(2026, 1, first), date(2026, 1, last) + timedelta(days=1))


@dataclass(frozen=True)
class Labels:
    """A customer of a cluster whose rows are made one by one."""

    live: Live
    cluster: str
    form: str

    @property
    def customer(self) -> str:
        return CUSTOMERS[self.cluster]

    def clear(self, form: str | None = None) -> None:
        """No rows of the customer, and new tables in ClickHouse."""
        with self.source.connection() as connection:
            for table in ("app.chats", "app.agent_assist_events"):
                connection.execute(f"DELETE FROM {table} WHERE customer_id = %s".encode(), [self.customer])
        targets.create(self.target, form or self.form)

    def chat(self, *names: str, **more: Any) -> None:
        """A chat of an hour for each, from 10:00 of the 15th on; given again, it is changed."""
        with self.source.connection() as connection, connection.cursor() as cursor:
            cursor.executemany(_CHAT, [self._row(name, more) for name in names])

    def _row(self, name: str, more: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            "customer": self.customer,
            "chat": f"chat-{name}",
            "conversation": name,
            "agent_user_id": "ann",
            "started_at": DAY + 10 * HOUR,
            "ended_at": DAY + 11 * HOUR,
            "updated_at": LONG_AGO,
            **more,
        }

    def event(self, name: str, kind: str) -> None:
        with self.source.connection() as connection:
            connection.execute(_EVENT, [self.customer, name, kind, DAY])

    @property
    def source(self) -> Postgres:
        return Postgres(required(self.live.config.cluster(self.cluster).postgres, self.cluster, "postgres"))

    @property
    def target(self) -> ClickHouse:
        return ClickHouse(required(self.live.config.cluster(self.cluster).clickhouse, self.cluster, "clickhouse"))

    def held(self, columns: str = "conversation_id, agent_user_id, toDate(conversation_end_time, 'UTC')") -> list[Any]:
        """Rows after FINAL over all shards."""
        sql = f"SELECT {columns} FROM conversation_with_labels FINAL"
        return sorted(row for s in self.target.shards for row in s.query(sql))

    def expected(self) -> list[Any]:
        """The same by the source, for conversations of one chat each."""
        sql = (
            "SELECT conversation_id, coalesce(agent_user_id, ''), (ended_at AT TIME ZONE 'UTC')::date FROM app.chats "
            "WHERE customer_id = %s AND ended_at IS NOT NULL"
        )
        with self.source.connection() as connection:
            return sorted(tuple(r) for r in connection.execute(sql.encode(), [self.customer]))

    def claim(self, window: Window, dataset: str = "labels") -> Claim:
        return self.live.claim(self.cluster, self.customer, window, dataset=dataset)


def quick(live: Live) -> Live:
    """With quick polls, and conversations of up to two days."""
    limits = live.config.limits.model_copy(
        update={"poll_seconds": 0.1, "lease_seconds": 1.0, "longest_conversation_hours": 48}
    )
    return replace(live, config=live.config.model_copy(update={"limits": limits}))
