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
