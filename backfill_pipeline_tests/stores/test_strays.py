"""Rows of the window's ids on other days: found on every shard and in any version, and deleted with their window."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backfill_pipeline.domain.datasets import CONVERSATIONS, LABELS, PROCESS_SCORECARDS
from backfill_pipeline.domain.deletes import build_delete, text_literal
from backfill_pipeline.domain.strays import Stray
from backfill_pipeline.stores import mutations
from backfill_pipeline.stores import strays as finder
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.stores.strays import strays
from backfill_pipeline_tests.stores.claims import NOW, window
from backfill_pipeline_tests.stores.rows import left, put

TABLE = "conversation_with_labels"
DAYS = window(5, 7)
AWKWARD = "o'hara\\'; --🙂"


def ended(source: Postgres, name: str, day: int, profile: str = "default", customer: str = "acme") -> None:
    at = datetime(2026, 1, day, 12, tzinfo=UTC)
    with source.connection() as connection:
        connection.execute(
            "INSERT INTO app.chats (customer_id, profile_id, chat_id, conversation_id, started_at, ended_at) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            (customer, profile, f"chat-{name}", name, at - timedelta(hours=1), at),
        )


def held(target: ClickHouse, name: str, day: int, shard: int = 0, **more: Any) -> None:
    at = f"2026-01-{day:02d} 12:00:00.000"
    put(target.shards[shard], TABLE, conversation_id=name, conversation_start_time=at, conversation_end_time=at, **more)


def found(source: Postgres, target: ClickHouse, profiles: tuple[str, ...] = ("default",)) -> tuple[Stray, ...]:
    return strays(source, target, LABELS, "acme", profiles, DAYS)[TABLE]


def test_rows_on_other_days_are_found_on_every_shard_and_in_any_version(source: Postgres, target: ClickHouse) -> None:
    for name in ("c1", AWKWARD):
        ended(source, name, 5)
    held(target, "c1", 9)
    held(target, "c1", 2, shard=1)
    held(target, "c1", 2, shard=1, update_time="2026-01-01 00:00:00.000000", agent_user_id="hidden by FINAL or not")
    held(target, AWKWARD, 4)
    assert found(source, target) == (
        Stray("default", "c1", (date(2026, 1, 2), date(2026, 1, 9))),
        Stray("default", AWKWARD, (date(2026, 1, 4),)),
    )


def test_d7_a_row_that_the_delete_would_uncover_is_a_stray_too(source: Postgres, target: ClickHouse) -> None:
    """The newest version lies in the window and hides an older one of the same key on another day."""
    held(target, "open again", 2)
    held(target, "open again", 5, update_time="2026-01-21 00:00:00.000000")
    held(target, "moved on", 2)
    held(target, "moved on", 5, update_time="2026-01-21 00:00:00.000000")
    held(target, "moved on", 9)
    ended(source, "moved on", 9)
    second = (date(2026, 1, 2),)
    assert found(source, target) == (Stray("default", "moved on", second), Stray("default", "open again", second))


def test_what_is_in_the_window_or_of_other_ids_is_no_stray(source: Postgres, target: ClickHouse) -> None:
    ended(source, "c1", 5)
    ended(source, "elsewhere", 9)
    ended(source, "other profile", 5, profile="other")
    held(target, "c1", 6)
    held(target, "elsewhere", 2)
    held(target, "unknown", 2)
    held(target, "c1", 2, profile_id="other")
    held(target, "c1", 2, customer_id="acme-east")
    assert found(source, target) == ()
    assert found(source, target, ("default", "other")) == ()


def test_memory_does_not_grow_with_the_span_as_hashes_come_in_buckets(
    source: Postgres, target: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finder, "BUCKET_ROWS", 3)
    monkeypatch.setattr(finder, "DETAIL_HASHES", 2)
    for i in range(12):
        ended(source, f"c{i:02d}", 5)
        held(target, f"c{i:02d}", 1 + i % 3, shard=i % 2)
    assert [s.id for s in found(source, target)] == [f"c{i:02d}" for i in range(12)]


def test_l7_the_delete_takes_the_strays_and_leaves_every_other_row_of_other_days(
    source: Postgres, target: ClickHouse
) -> None:
    """A row that lies in the window but belongs to another day by the source goes; its row on that day stays.

    Were all rows of what the window holds deleted, wherever they lie, that day would lose its row to this window.
    """
    for name in ("c1", AWKWARD):
        ended(source, name, 5)
    ended(source, "moved on", 9)
    held(target, "c1", 5)
    held(target, "c1", 2, shard=1)
    held(target, AWKWARD, 4)
    held(target, "moved on", 5)
    held(target, "moved on", 9, agent_user_id="right")
    held(target, "other", 4)
    held(target, "c1", 2, profile_id="other")
    delete = build_delete(LABELS.main, "acme", ["default"], DAYS, NOW, max_days=31, strays=found(source, target))
    for shard in target.shards:
        mutations.submit(shard, delete, method="lightweight")
        mutations.wait(shard, delete, deadline_seconds=30)
    assert left(target, TABLE, "concat(profile_id, ' ', conversation_id)") == [
        "default moved on",
        "default other",
        "other c1",
    ]
    assert left(target, TABLE, "agent_user_id") == ["", "", "right"]


def scored(source: Postgres, card: str, conversation: str, day: int) -> None:
    """A scorecard in the source; it hangs on a conversation of that day, or on none."""
    at = datetime(2026, 1, day, 12, tzinfo=UTC)
    with source.connection() as connection:
        connection.execute(
            "INSERT INTO director.scorecard_template_revisions VALUES ('coaching', 1, 2, 'c') ON CONFLICT DO NOTHING"
        )
        connection.execute(
            "INSERT INTO director.scorecards (customer_id, profile_id, scorecard_id, conversation_id, template_id, "
            "template_revision, scorecard_time) VALUES ('acme', 'default', %s, %s, 'coaching', 1, %s)",
            (card, conversation, at),
        )


def test_d7_a_row_of_the_dataset_that_shares_the_table_is_a_stray_where_ours_hides_it_and_it_is_wrong(
    source: Postgres, target: ClickHouse
) -> None:
    """Both lie under one sort key. The delete takes ours away, and what it hid is read again."""
    ended(source, "c-right", 5)
    ended(source, "c-moved", 9)
    scored(source, "right", "c-right", 5)
    scored(source, "moved", "c-moved", 9)
    scored(source, "ours now", "", 5)
    shard = target.shards[1]
    for table in ("scorecard", "score"):
        shard.client().command(f"SYSTEM STOP MERGES {table}")  # one would throw the older of both away
    for card in ("right", "moved", "ours now", "gone"):
        for conversation in ("", f"c-{card}"):
            put(shard, "scorecard", scorecard_id=card, conversation_id=conversation, day=5)
            put(shard, "score", scorecard_id=card, criterion_id="k", conversation_id=conversation, day=5)
    put(target.shards[0], "scorecard", scorecard_id="theirs alone", conversation_id="c", day=5)
    at = (date(2026, 1, 5),)
    hidden = tuple(Stray("default", card, at) for card in ("gone", "moved", "ours now"))
    found = strays(source, target, PROCESS_SCORECARDS, "acme", ["default"], DAYS)
    assert found == {"scorecard": hidden, "score": hidden}
    theirs = tuple(Stray("default", card, at) for card in ("gone", "moved", "right"))
    found = strays(source, target, CONVERSATIONS, "acme", ["default"], DAYS)
    assert found == {"scorecard": theirs, "score": theirs}, "by the source no process scorecard but `ours now`"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_no_text_leaves_its_quotes(target: ClickHouse, text: str) -> None:
    sent, length = target.shards[0].query(f"SELECT hex({text_literal(text)}), length({text_literal(text)})")[0]
    assert (bytes.fromhex(sent), length) == (text.encode(), len(text.encode()))
