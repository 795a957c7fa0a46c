"""A made-up past: conversations, scorecards and labels that move, change and go, and windows reindexed in between.

Windows are reindexed by the plan's own deletes and the worker's own transfer, in this process: no run, Job or workflow.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from psycopg import Connection

from backfill_pipeline.config import Limits, PostgresAddress
from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.plans import Attempt, Plan, PlanLimits, plan_window
from backfill_pipeline.domain.windows import ONE_DAY, Window
from backfill_pipeline.stores import mutations
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.stores.strays import strays
from backfill_pipeline.worker.transfer.engine import Transfer
from backfill_pipeline.worker.transfer.recipes import RECIPES
from backfill_pipeline.worker.transfer.slices import Request
from backfill_pipeline_tests.worker.loads import Watching

CUSTOMER, PROFILES = "acme", ("retail", "support")
FIRST = datetime(2026, 1, 15, tzinfo=UTC)
DAYS = 5
SPAN = Window(FIRST.date(), FIRST.date() + ONE_DAY * DAYS)
LONGEST = timedelta(hours=30)
MARKER = datetime(2026, 2, 1, tzinfo=UTC)
AGENTS = ("ann", "bob", "", None)
_TABLES = (
    "app.chats",
    "app.agent_assist_events",
    "director.scorecards",
    "director.historic_scorecard_scores",
    "director.scorecard_template_revisions",
)


@dataclass
class Past:
    """One history. told: what happened, for whoever must read a failure."""

    source: PostgresAddress
    target: ClickHouse
    chance: random.Random
    told: list[str] = field(default_factory=list)
    _numbers: int = 0

    def begin(self) -> None:
        """Both sides empty, but for templates and some rows."""
        with Postgres(self.source).connection() as connection:
            connection.execute(f"TRUNCATE {', '.join(_TABLES)}".encode())
            connection.execute(
                "INSERT INTO director.scorecard_template_revisions VALUES ('quality', 1, 1, 'q'), ('coaching', 1, 2, 'c')"
            )
        for shard in self.target.shards:
            for table in {t.table for d in DATASETS.values() for t in d.targets}:
                shard.client().command(f"TRUNCATE TABLE {table}")
        for _ in range(10):
            self.happen(self.add_conversation)
        for _ in range(4):
            self.happen(self.add_process_scorecard)

    def changes(self) -> tuple[Any, ...]:
        return (
            self.add_conversation,
            self.move_conversation,
            self.close_or_reopen,
            self.reassign,
            self.remove_conversation,
            self.make_dev_user,
            self.add_event,
            self.add_scorecard,
            self.add_process_scorecard,
            self.change_scorecard,
            self.move_process_scorecard,
            self.turn_into_appeal,
            self.change_class,
            self.remove_scorecard,
            self.change_score,
        )

    def happen(self, change: Any = None) -> None:
        chosen = change or self.chance.choice(self.changes())
        self.told.append(chosen.__name__)
        with Postgres(self.source).connection() as connection:
            chosen(connection)

    # Changes of the source.

    def add_conversation(self, connection: "Connection[Any]") -> None:
        name, start = self._name("c"), self._moment()
        row = (CUSTOMER, self._profile(), f"chat-{name}", name, self._agent(), start, self._end(start))
        connection.execute(
            "INSERT INTO app.chats (customer_id, profile_id, chat_id, conversation_id, agent_user_id, started_at, "
            "ended_at, updated_at) VALUES (%s, %s, %s, %s, %s, %s, %s, '2026-01-25')",
            row,
        )

    def move_conversation(self, connection: "Connection[Any]") -> None:
        start = self._moment()
        self._change_chat(connection, "started_at = %s, ended_at = %s", start, self._end(start))

    def close_or_reopen(self, connection: "Connection[Any]") -> None:
        hours = self.chance.choice((None, 1, 5, 29))
        self._change_chat(connection, "ended_at = started_at + %s", None if hours is None else timedelta(hours=hours))

    def reassign(self, connection: "Connection[Any]") -> None:
        self._change_chat(connection, "agent_user_id = %s", self._agent())

    def make_dev_user(self, connection: "Connection[Any]") -> None:
        self._change_chat(connection, "is_dev_user = %s", self.chance.random() < 0.5)

    def remove_conversation(self, connection: "Connection[Any]") -> None:
        connection.execute("DELETE FROM app.chats WHERE chat_id = %s", [self._one(connection, "app.chats", "chat_id")])

    def add_event(self, connection: "Connection[Any]") -> None:
        connection.execute(
            "INSERT INTO app.agent_assist_events SELECT customer_id, profile_id, conversation_id, %s, started_at "
            "FROM app.chats WHERE chat_id = %s",
            [self.chance.choice(("hint", "article")), self._one(connection, "app.chats", "chat_id")],
        )

    def add_scorecard(self, connection: "Connection[Any]") -> None:
        chat = self._one(connection, "app.chats", "chat_id")
        found = connection.execute("SELECT profile_id, conversation_id FROM app.chats WHERE chat_id = %s", [chat])
        if row := found.fetchone():
            self._scorecard(connection, row[0], row[1], "quality")

    def add_process_scorecard(self, connection: "Connection[Any]") -> None:
        self._scorecard(connection, self._profile(), self.chance.choice(("", None)), "coaching")

    def change_scorecard(self, connection: "Connection[Any]") -> None:
        self._change_card(connection, "score = %s, agent_user_id = %s", self.chance.random(), self._agent())

    def move_process_scorecard(self, connection: "Connection[Any]") -> None:
        self._change_card(connection, "scorecard_time = %s", self._moment())

    def turn_into_appeal(self, connection: "Connection[Any]") -> None:
        self._change_card(connection, "scorecard_type = %s", self.chance.choice((None, 1, 3)))

    def change_class(self, connection: "Connection[Any]") -> None:
        """A scorecard loses its conversation, or gets one: its rows are now of the other dataset in the same tables."""
        chat = self._one(connection, "app.chats", "chat_id")
        found = connection.execute(
            "SELECT profile_id, conversation_id FROM app.chats WHERE chat_id = %s", [chat]
        ).fetchone()
        profile, conversation = found or (self._profile(), "")
        if self.chance.random() < 0.5:
            self._change_card(connection, "conversation_id = '', template_id = 'coaching'")
        else:
            card = "conversation_id = %s, profile_id = %s, template_id = 'quality'"
            self._change_card(connection, card, conversation, profile)

    def remove_scorecard(self, connection: "Connection[Any]") -> None:
        card = self._one(connection, "director.scorecards", "scorecard_id")
        connection.execute("DELETE FROM director.historic_scorecard_scores WHERE scorecard_id = %s", [card])
        connection.execute("DELETE FROM director.scorecards WHERE scorecard_id = %s", [card])

    def change_score(self, connection: "Connection[Any]") -> None:
        card = self._one(connection, "director.historic_scorecard_scores", "scorecard_id")
        connection.execute(
            "UPDATE director.historic_scorecard_scores SET numeric_value = %s WHERE scorecard_id = %s AND criterion_id = %s",
            [self.chance.random(), card, self.chance.choice(("a", "b"))],
        )

    def _scorecard(self, connection: "Connection[Any]", profile: str, conversation: str | None, template: str) -> None:
        card = self._name("s")
        connection.execute(
            "INSERT INTO director.scorecards (customer_id, profile_id, scorecard_id, conversation_id, template_id, "
            "template_revision, scorecard_time, score, updated_at) VALUES (%s, %s, %s, %s, %s, 1, %s, 1, '2026-01-25')",
            [CUSTOMER, profile, card, conversation, template, self._moment()],
        )
        connection.execute(
            "INSERT INTO director.historic_scorecard_scores (scorecard_id, criterion_id, numeric_value, updated_at) "
            "VALUES (%s, 'a', 1, '2026-01-25'), (%s, 'b', 2, '2026-01-25')",
            [card, card],
        )

    def _change_chat(self, connection: "Connection[Any]", assignments: str, *values: Any) -> None:
        chat = self._one(connection, "app.chats", "chat_id")
        connection.execute(f"UPDATE app.chats SET {assignments} WHERE chat_id = %s".encode(), [*values, chat])

    def _change_card(self, connection: "Connection[Any]", assignments: str, *values: Any) -> None:
        card = self._one(connection, "director.scorecards", "scorecard_id")
        sql = f"UPDATE director.scorecards SET {assignments} WHERE scorecard_id = %s"
        connection.execute(sql.encode(), [*values, card])

    def _one(self, connection: "Connection[Any]", table: str, column: str) -> str | None:
        rows = connection.execute(f"SELECT DISTINCT {column} FROM {table} ORDER BY 1".encode()).fetchall()
        return str(self.chance.choice(rows)[0]) if rows else None

    def _name(self, kind: str) -> str:
        self._numbers += 1
        return f"{kind}{self._numbers:03d}"

    def _profile(self) -> str:
        return self.chance.choice(PROFILES)

    def _agent(self) -> str | None:
        return self.chance.choice(AGENTS)

    def _moment(self) -> datetime:
        """Within the span but for its last two days' worth of a conversation."""
        return FIRST + timedelta(milliseconds=self.chance.randrange((DAYS - 2) * 86_400_000))

    def _end(self, start: datetime) -> datetime | None:
        return None if self.chance.random() < 0.2 else start + LONGEST * self.chance.random()

    # Reindexing.

    def some_window(self) -> Window:
        first = self.chance.randrange(DAYS)
        return Window(SPAN.days[first], SPAN.days[first] + ONE_DAY * self.chance.randint(1, DAYS - first))

    def all_windows(self) -> list[tuple[str, Window]]:
        """Windows that tile the span for every dataset, in random order, some of them twice."""
        windows = [(d, w) for d in DATASETS for w in SPAN.split(self.chance.randint(2, DAYS))]
        windows += self.chance.sample(windows, 2)
        self.chance.shuffle(windows)
        return windows

    def reindex(self, dataset: str, window: Window) -> None:
        self.told.append(f"reindex {dataset} {window}")
        self._numbers += 1
        attempt = self._attempt(dataset, window)
        plan = self._plan(attempt)
        for delete in plan.deletes:
            for shard in self.target.shards:
                mutations.submit(shard, delete, method="lightweight")
                mutations.wait(shard, delete, deadline_seconds=60, poll_seconds=0.01)
        for profile in PROFILES:
            self._transfer(attempt, profile)

    def _attempt(self, dataset: str, window: Window) -> Attempt:
        marker = MARKER + timedelta(seconds=self._numbers)
        return Attempt(str(uuid4()), "run", "north", CUSTOMER, PROFILES, dataset, window, marker, self._numbers)

    def _plan(self, attempt: Attempt) -> Plan:
        who = (DATASETS[attempt.dataset], CUSTOMER, PROFILES, attempt.window)
        found = strays(Postgres(self.source), self.target, *who)
        return plan_window(attempt, PlanLimits(31, 60, LONGEST), found)

    def _transfer(self, attempt: Attempt, profile: str) -> None:
        window = attempt.window
        reach = window.start_time - LONGEST if DATASETS[attempt.dataset].reaches_back else None
        request = Request(CUSTOMER, profile, window.start_time, window.end_time, reach)
        version = attempt.marker + timedelta(microseconds=1)
        recipe = RECIPES[attempt.dataset]
        Transfer(Postgres(self.source), self.target, recipe, request, version, Limits(), Watching()).run()
