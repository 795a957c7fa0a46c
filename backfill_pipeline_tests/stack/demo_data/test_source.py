"""The awkward rows that every loader must get through stand in PostgreSQL, on every day."""

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from backfill_pipeline_tests.stack.demo_data import stacks
from backfill_pipeline_tests.stack.demo_data.conftest import Demo

DAY = date(2026, 1, 30)

CHATS = {
    "a start at midnight": "started_at = %(day)s",
    "a start one microsecond before midnight": "started_at = %(next)s - interval '1 microsecond'",
    "a conversation over midnight": "started_at = %(next)s - interval '10 minutes' AND ended_at > %(next)s",
    "an infinite end": "ended_at = 'infinity'",
    "an open conversation": "ended_at IS NULL",
    "an id with a quote and an emoji": "conversation_id LIKE '%%o''hara''; --🙂'",
    "an id that all customers and profiles have": "conversation_id = 'shared-2026-01-30'",
    "no conversation_id": "conversation_id IS NULL",
    "an empty conversation_id": "conversation_id = ''",
    "a dev user": "is_dev_user",
    "no agent": "agent_user_id IS NULL",
    "an empty agent": "agent_user_id = ''",
}
CARDS = {
    "an infinite scorecard_time": "scorecard_time = 'infinity'",
    "an infinite submitted_at": "submitted_at = 'infinity'",
    "a submitted_at of minus infinity": "submitted_at = '-infinity'",
    "an appeal's replica": "scorecard_type = 1",
    "an appeal's request": "scorecard_type = 2",
    "an appeal's resolution": "scorecard_type = 3",
    "a process scorecard": "template_id = 'tpl-coaching' AND coalesce(conversation_id, '') = ''",
    "the smallest float": "score = 5e-324",
    "the largest float": "score = 1.7976931348623157e308",
    "a negative zero": "float8send(score) = '\\x8000000000000000'::bytea",
}
SCORES = {
    "a text of 100 kB": "octet_length(text_value) > 100000",
    "an emoji": "text_value LIKE '🙂%%'",
    "a text that ends a statement": "text_value = '''; DROP TABLE score; --'",
    "an empty text": "text_value = ''",
    "the text NULL": "text_value = 'NULL'",
    "no text": "text_value IS NULL",
    "a line break": "text_value LIKE E'%%\\n%%'",
}


def count(demo: Demo, statement: str) -> int:
    start = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    values = {"day": start, "next": start + timedelta(days=1), "prefix": "acme:default:260130:%"}
    with psycopg.connect(stacks.dsn(demo.config.cluster("north"))) as connection:
        row = connection.execute(statement, values).fetchone()
    assert row
    return int(row[0])


@pytest.mark.parametrize("predicate", CHATS.values(), ids=CHATS)
def test_a_loader_is_never_met_by_an_awkward_chat_as_the_day_has_none(demo: Demo, predicate: str) -> None:
    assert count(demo, f"SELECT count(*) FROM app.chats WHERE chat_id LIKE %(prefix)s AND {predicate}")


@pytest.mark.parametrize("predicate", CARDS.values(), ids=CARDS)
def test_a_loader_is_never_met_by_an_awkward_scorecard_as_the_day_has_none(demo: Demo, predicate: str) -> None:
    assert count(demo, f"SELECT count(*) FROM director.scorecards WHERE scorecard_id LIKE %(prefix)s AND {predicate}")


@pytest.mark.parametrize("predicate", SCORES.values(), ids=SCORES)
def test_a_loader_is_never_met_by_an_awkward_score_as_the_day_has_none(demo: Demo, predicate: str) -> None:
    table = "director.historic_scorecard_scores"
    assert count(demo, f"SELECT count(*) FROM {table} WHERE scorecard_id LIKE %(prefix)s AND {predicate}")


def test_uncovered_rows_stay_unseen_because_none_were_planted(demo: Demo) -> None:
    """P6: rows whose time is NULL or infinite, and scorecards whose conversation is not there."""
    cluster = demo.config.cluster("north")
    expected = {(u.reason, i) for u in demo.planted.uncovered if u.cluster == "north" for i in u.ids}
    with psycopg.connect(stacks.dsn(cluster)) as connection:
        found = connection.execute(
            """SELECT CASE WHEN started_at IS NULL THEN 'no start' ELSE 'infinite start' END, conversation_id
            FROM app.chats WHERE started_at IS NULL OR NOT isfinite(started_at)
            UNION ALL SELECT 'no such conversation', s.scorecard_id FROM director.scorecards s
            WHERE s.conversation_id <> '' AND NOT EXISTS (SELECT FROM app.chats c WHERE
            (c.customer_id, c.profile_id, c.conversation_id) = (s.customer_id, s.profile_id, s.conversation_id))"""
        ).fetchall()
    assert len(expected) == 4 * 3 * 2  # profiles, reasons, rows of each
    assert set(found) == expected
