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


SAME_KIND_TWICE = """(
    SELECT count(*) FROM app.agent_assist_events o WHERE (o.conversation_id, o.kind) = (e.conversation_id, e.kind)
) > 1"""
EVENTS = {
    "a kind that ends a statement": "kind = '''; --'",
    "a kind that is an emoji": "kind = '🙂'",
    "a kind that another language would order otherwise": "kind = 'Summary'",
    "the same kind twice": SAME_KIND_TWICE,
    "an id with a quote and an emoji": "conversation_id LIKE '%%o''hara''; --🙂'",
    "an id that all customers and profiles have": "conversation_id = 'shared-2026-01-30'",
    "a conversation over midnight": "occurred_at::date <> started_at::date",
    "an open conversation": "ended_at IS NULL",
    "an infinite end": "ended_at = 'infinity'",
    "a dev user": "is_dev_user",
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


@pytest.mark.parametrize("predicate", EVENTS.values(), ids=EVENTS)
def test_labels_are_never_computed_from_an_awkward_event_as_no_day_has_one(demo: Demo, predicate: str) -> None:
    joined = "app.agent_assist_events e JOIN app.chats USING (customer_id, profile_id, conversation_id)"
    assert count(demo, f"SELECT count(*) FROM {joined} WHERE customer_id = 'acme' AND {predicate}")


def test_events_are_outside_of_their_chat_or_of_none_or_most_conversations_have_some(demo: Demo) -> None:
    with psycopg.connect(stacks.dsn(demo.config.cluster("south"))) as connection:
        wrong = connection.execute(
            """SELECT count(*) FROM app.agent_assist_events e
            LEFT JOIN app.chats c USING (customer_id, profile_id, conversation_id)
            WHERE (e.occurred_at BETWEEN c.started_at AND coalesce(c.ended_at, c.started_at + interval '12 s')) IS NOT TRUE"""
        ).fetchall()
        [found] = connection.execute(
            """SELECT count(DISTINCT c.chat_id) FILTER (WHERE e.kind IS NOT NULL)::float / count(DISTINCT c.chat_id),
              max((SELECT count(*) FROM app.agent_assist_events o WHERE (o.customer_id, o.profile_id, o.conversation_id)
                = (c.customer_id, c.profile_id, c.conversation_id)))
            FROM app.chats c LEFT JOIN app.agent_assist_events e USING (customer_id, profile_id, conversation_id)
            WHERE conversation_id <> ''"""
        ).fetchall()
    assert wrong == [(0,)]
    assert 0.35 < found[0] < 0.5
    assert found[1] == 4


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
