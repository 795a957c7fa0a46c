"""Which days were proved right, and when: from the audit, in one query."""

from collections.abc import Mapping
from datetime import date, datetime

from backfill_pipeline.domain.retries import Of
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.ledger import Ledger


def done_days(ledger: Ledger, window: Window) -> Mapping[tuple[Of, date], datetime]:
    """Days of the window whose newest verdict is good -> when it was given."""
    with ledger.transaction() as connection:
        rows = connection.execute(_DONE, {"start": window.start, "end": window.end}).fetchall()
    return {(Of(cluster, customer, dataset), day): at for cluster, customer, dataset, day, at, good in rows if good}


_DONE = """
SELECT DISTINCT ON (cluster, customer, dataset, v.day)
       cluster, customer, dataset, v.day::date, recorded_at, v.verdict ->> 'verdict' IN ('MATCH', 'EMPTY_BOTH')
FROM audit.attempts, jsonb_each(proof -> 'days') AS v (day, verdict)
WHERE start_day < %(end)s AND end_day > %(start)s AND proof ? 'days'
  AND v.day::date >= %(start)s AND v.day::date < %(end)s
ORDER BY cluster, customer, dataset, v.day, recorded_at DESC
"""
