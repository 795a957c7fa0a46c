"""Made-up conversations, scorecards and scores in a source, by one statement each; deterministic."""

from datetime import UTC, datetime

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.stores.postgres import Postgres

DAY = datetime(2026, 1, 15, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 20, tzinfo=UTC)  # updated_at of the rows: before any test's start

_CHATS = """
INSERT INTO app.chats
SELECT %(customer)s, %(profile)s, 'chat' || i, 'c' || lpad(i::text, 8, '0'), 'agent' || i %% 7, false,
       %(day)s + i * (interval '1 day' * %(days)s / %(count)s), %(day)s + interval '1 day', %(updated)s
FROM generate_series(0, %(count)s - 1) AS i
"""
_SCORECARDS = """
INSERT INTO director.scorecards
SELECT %(customer)s, %(profile)s, 's-' || %(customer)s || %(profile)s || '-' || i, 'c' || lpad(i::text, 8, '0'),
       'template' || i %% 3, 1, NULL, 2, 'agent' || i %% 7, NULL, i / 3.0, %(day)s, %(day)s, %(updated)s
FROM generate_series(0, %(count)s - 1) AS i
"""
_SCORES = """
INSERT INTO director.historic_scorecard_scores
SELECT 's-' || %(customer)s || %(profile)s || '-' || i, 'criterion' || j, j / 7.0, NULL, 'text ' || j, false, 1,
       %(updated)s
FROM generate_series(0, %(count)s - 1) AS i, generate_series(1, %(scores)s) AS j
"""
_REVISION = """
INSERT INTO director.scorecard_template_revisions VALUES (%(template)s, 1, %(type)s, 'A template')
ON CONFLICT DO NOTHING
"""
_PROCESS = """
INSERT INTO director.scorecards
SELECT %(customer)s, %(profile)s, %(template)s || '-' || %(customer)s || %(profile)s || '-' || i,
       CASE WHEN i %% 2 = 0 THEN '' END, %(template)s, 1, NULL, 1, 'agent' || i %% 7, 'coach', i / 3.0,
       %(day)s + i * (interval '1 day' * %(days)s / %(count)s), %(day)s, %(updated)s
FROM generate_series(0, %(count)s - 1) AS i
"""
_PROCESS_SCORES = """
INSERT INTO director.historic_scorecard_scores
SELECT %(template)s || '-' || %(customer)s || %(profile)s || '-' || i, 'criterion' || j, j / 7.0, NULL, 'text ' || j,
       false, 1, %(updated)s
FROM generate_series(0, %(count)s - 1) AS i, generate_series(1, %(scores)s) AS j
"""


def fill(
    source: PostgresAddress,
    customer: str = "acme",
    profile: str = "default",
    *,
    count: int = 1000,
    scores: int = 3,
    days: int = 1,
    day: datetime = DAY,
) -> None:
    """`count` conversations spread over `days` days from `day`, a scorecard each, `scores` scores each."""
    values = {"customer": customer, "profile": profile, "count": count, "scores": scores, "days": days, "day": day}
    with Postgres(source).connection() as connection:
        for statement in (_CHATS, _SCORECARDS, _SCORES):
            connection.execute(statement, {**values, "updated": LONG_AGO})
        connection.execute("ANALYZE")


def fill_process(
    source: PostgresAddress,
    customer: str = "acme",
    profile: str = "default",
    *,
    template: str = "audit",
    type: int = 2,
    count: int = 1000,
    scores: int = 3,
    days: int = 1,
    day: datetime = DAY,
) -> None:
    """`count` scorecards without a conversation of one template, spread over the days, `scores` scores each."""
    values = {"customer": customer, "profile": profile, "template": template, "type": type, "count": count}
    more = {"scores": scores, "days": days, "day": day, "updated": LONG_AGO}
    with Postgres(source).connection() as connection:
        for statement in (_REVISION, _PROCESS, _PROCESS_SCORES):
            connection.execute(statement, {**values, **more})
        connection.execute("ANALYZE")
