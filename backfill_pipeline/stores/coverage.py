"""Which rows of PostgreSQL belong to which dataset, and which to none: one query per window, from one snapshot."""

from collections.abc import Sequence

from backfill_pipeline.domain.coverage import Coverage, Group
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.stores.source import statement, window_values


def coverage(
    postgres: Postgres, configured: Sequence[str], customer: str, profiles: Sequence[str], window: Window
) -> Coverage:
    """Scorecards of the window by the dataset that they belong to, and the customer's conversations that fit no day.

    Raises:
        PipelineError: MISSING naming the table or column, RETRY, or UNREACHABLE naming the address.
    """
    values = window_values(customer, profiles, window)
    with postgres.snapshot() as connection:
        groups = tuple(Group(*row) for row in connection.execute(statement("coverage").encode(), values))
        dayless = connection.execute(statement("uncovered_dayless").encode(), values).fetchall()
    return Coverage(groups, {name: rows for name, rows in dayless if rows}, tuple(configured))
