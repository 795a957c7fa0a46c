"""Labels: one row per ended conversation, in both forms of the table, and what a re-insert without a delete does."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline_tests.worker import loads, targets
from backfill_pipeline_tests.worker.people import DAY, LONG_AGO

FORMS = (targets.OLDER, targets.NEWER)
both_forms = pytest.mark.parametrize("form", FORMS)
HOUR = timedelta(hours=1)


def chat(source: PostgresAddress, name: str, **more: Any) -> None:
    """A chat of an hour, from 10:00 of the day on."""
    row = {
        "customer_id": "acme",
        "profile_id": "default",
        "chat_id": f"chat-{name}",
        "conversation_id": name,
        "agent_user_id": "ann",
        "is_dev_user": False,
        "started_at": DAY + 10 * HOUR,
        "ended_at": DAY + 11 * HOUR,
        "updated_at": LONG_AGO,
        **more,
    }
    with Postgres(source).connection() as connection:
        columns, values = ", ".join(row), ", ".join(f"%({c})s" for c in row)
        statement = f"INSERT INTO app.chats ({columns}) VALUES ({values})"
        updates = ", ".join(f"{c} = excluded.{c}" for c in row)
        connection.execute(
            f"{statement} ON CONFLICT (customer_id, profile_id, chat_id) DO UPDATE SET {updates}".encode(), row
        )


def event(source: PostgresAddress, name: str, kind: str, at: datetime = LONG_AGO, profile: str = "default") -> None:
    with Postgres(source).connection() as connection:
        connection.execute(
            "INSERT INTO app.agent_assist_events VALUES (%s, %s, %s, %s, %s)", ("acme", profile, name, kind, at)
        )


def label(source: PostgresAddress, target: ClickHouse, days: int = 1, later: timedelta = timedelta(0)) -> None:
    loads.transfer(source, target, dataset="labels", days=days, version=loads.VERSION + later).run()


def labels(target: ClickHouse, columns: str = "conversation_id, agent_user_id, labels") -> list[tuple[Any, ...]]:
    return sorted(targets.rows(target, f"SELECT {columns} FROM conversation_with_labels FINAL"))


@both_forms
def test_a_row_per_ended_conversation_with_the_kinds_of_its_events(
    source: PostgresAddress, target: ClickHouse, form: str
) -> None:
    targets.create(target, form)
    chat(source, "c1")
    chat(source, "c2", agent_user_id=None)
    for kind in ("hint", "article", "hint"):
        event(source, "c1", kind)
    event(source, "c1", "of another profile", profile="other")
    label(source, target)
    found = labels(target, "conversation_id, agent_user_id, labels, agent_assist_events")
    assert found == [("c1", "ann", ["article", "hint"], 3), ("c2", "", [], 0)]


@pytest.mark.parametrize(
    "other",
    [
        {"ended_at": None},
        {"ended_at": DAY},
        {"ended_at": DAY - timedelta(microseconds=1)},
        {"ended_at": DAY + timedelta(days=1)},
        {"ended_at": "infinity"},
        {"started_at": None},
        {"started_at": "-infinity"},
        {"is_dev_user": True},
        {"conversation_id": ""},
        {"conversation_id": None},
        {"customer_id": "acme-east"},
        {"profile_id": "other"},
    ],
    ids=str,
)
def test_what_did_not_end_that_day_is_not_labelled(
    source: PostgresAddress, target: ClickHouse, other: dict[str, Any]
) -> None:
    chat(source, "c1")
    chat(source, "c2", **other)
    label(source, target)
    is_on_the_day = other == {"ended_at": DAY}
    assert [row[0] for row in labels(target)] == (["c1", "c2"] if is_on_the_day else ["c1"])


def test_a_conversation_over_midnight_is_labelled_on_the_day_of_its_end(
    source: PostgresAddress, target: ClickHouse
) -> None:
    chat(source, "c1", started_at=DAY - HOUR, ended_at=DAY + HOUR)
    label(source, target)
    assert [row[0] for row in labels(target)] == ["c1"]


def test_of_chats_that_share_a_conversation_the_one_that_changed_last_stands_for_it(
    source: PostgresAddress, target: ClickHouse
) -> None:
    chat(source, "c1", agent_user_id="bob")
    chat(source, "c1", chat_id="later", agent_user_id="ann", updated_at=LONG_AGO + HOUR)
    chat(source, "c2")
    chat(source, "c2", chat_id="goes on", ended_at=None, updated_at=LONG_AGO + HOUR)
    label(source, target)
    assert labels(target) == [("c1", "ann", [])]


CHANGES = {
    "re-assigned": {"agent_user_id": "bob"},
    "closed later": {"ended_at": DAY + 15 * HOUR},
    "both": {"agent_user_id": "bob", "ended_at": DAY + 15 * HOUR},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@both_forms
def test_l7_a_plain_reinsert_doubles_what_changed_in_the_older_form_and_only_there(
    source: PostgresAddress, target: ClickHouse, form: str, change: dict[str, Any]
) -> None:
    targets.create(target, form)
    chat(source, "c1")
    label(source, target)
    chat(source, "c1", **change)
    label(source, target, later=HOUR)
    assert len(labels(target)) == (2 if form == targets.OLDER else 1)


def test_an_event_that_comes_while_the_job_runs_is_caught_up(source: PostgresAddress, target: ClickHouse) -> None:
    chat(source, "c1")
    transfer = loads.transfer(source, target, dataset="labels")
    event(source, "c1", "late", at=Postgres(source).now())
    transfer.run()
    assert labels(target) == [("c1", "ann", ["late"])]


@both_forms
def test_rows_go_to_the_shard_that_the_server_names(source: PostgresAddress, two_shards: ClickHouse, form: str) -> None:
    targets.create(two_shards, form)
    for i in range(20):
        chat(source, f"c{i}", started_at=DAY - HOUR * i, ended_at=DAY + HOUR * i)
    label(source, two_shards)
    moment = "conversation_end_time" if form == targets.OLDER else "conversation_start_time"
    for number, shard in enumerate(two_shards.shards):
        sql = f"SELECT DISTINCT toRelativeDayNum({moment}, 'UTC') % 2 FROM conversation_with_labels"
        assert shard.query(sql) in ([(number,)], [])
    assert len(labels(two_shards)) == 20
