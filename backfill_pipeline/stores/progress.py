"""What the ledger knows of all customers at once, read in bulk from one snapshot: nothing here writes, or takes a lease.

Several moments would contradict each other: a window that is proved between two of them would look deleted and left alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from psycopg import Connection

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.domain.pace import Pace
from backfill_pipeline.domain.plans import Claim
from backfill_pipeline.domain.retries import Of
from backfill_pipeline.domain.status import Gone, Held, LedgerView, Paused, Proved
from backfill_pipeline.domain.verdicts import Verdict
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.failed_days import read_failed_days
from backfill_pipeline.stores.ledger import Emptied, Ledger
from backfill_pipeline.stores.pauses import read_pauses
from backfill_pipeline.stores.postgres import Postgres

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 10


class LedgerSnapshot(Ledger):
    """The ledger as it was at one moment; PostgreSQL itself refuses every write."""

    def __init__(self, postgres: Postgres, connection: Connection[Any]) -> None:
        super().__init__(postgres)
        self._connection = connection

    @contextmanager
    def transaction(self) -> Iterator[Connection[Any]]:
        yield self._connection


@contextmanager
def ledger_snapshot(address: PostgresAddress) -> Iterator[LedgerSnapshot | None]:
    """None where the ledger has no tables yet: nothing was ever done.

    Raises:
        PipelineError: it does not answer, or not in time.
    """
    postgres = Postgres(_hasty(address))
    with postgres.snapshot() as connection:
        row = connection.execute("SELECT to_regclass('ledger.pauses') IS NOT NULL").fetchone()
        yield LedgerSnapshot(postgres, connection) if row and row[0] else None


def _hasty(address: PostgresAddress) -> PostgresAddress:
    return address.model_copy(
        update={
            "connect_timeout_seconds": min(CONNECT_SECONDS, address.connect_timeout_seconds),
            "statement_timeout_seconds": min(STATEMENT_SECONDS, address.statement_timeout_seconds),
        }
    )


def ledger_view(address: PostgresAddress, window: Window | None) -> LedgerView:
    """Verdicts of the window's days; leases, emptied days, failures and pauses whatever their days are."""
    with ledger_snapshot(address) as ledger:
        return _view(ledger, window) if ledger else LedgerView()


def _view(ledger: LedgerSnapshot, window: Window | None) -> LedgerView:
    return LedgerView(
        proved=proved(ledger, window) if window else (),
        held=held(ledger),
        emptied=tuple(_gone(e) for e in ledger.emptied()),
        failed=tuple(read_failed_days(ledger).values()),
        paused=_paused(ledger),
        paces=paces(ledger),
    )


def proved(ledger: Ledger, window: Window) -> tuple[Proved, ...]:
    """The newest verdict of each day."""
    values = {"start": window.start, "end": window.end}
    return tuple(
        Proved(Of(cluster, customer, dataset), day, Verdict(verdict), int(rows), recorded_at)
        for cluster, customer, dataset, day, verdict, rows, recorded_at in _rows(ledger, _PROVED, values)
    )


def held(ledger: Ledger) -> tuple[Held, ...]:
    """Who holds which days now, by the database's clock."""
    return tuple(
        Held(Of(cluster, customer, dataset), tuple(days), attempt_id, run_id, since)
        for cluster, customer, dataset, attempt_id, run_id, days, since in _rows(ledger, _HELD)
    )


def paces(ledger: LedgerSnapshot) -> Mapping[Of, Pace]:
    """Of each customer's newest windows."""
    return {
        Of(cluster, customer, dataset): Pace(windows, int(rows), float(writing), float(other))
        for cluster, customer, dataset, windows, rows, writing, other in _rows(ledger, _PACES)
    }


def attempts_known(address: PostgresAddress, ids: Sequence[str]) -> Mapping[str, bool]:
    """Those of these attempts that the ledger has, and whether each holds its days still."""
    with ledger_snapshot(address) as ledger:
        return dict(_rows(ledger, _KNOWN, {"ids": list(ids)})) if ledger else {}


def last_marker(ledger: LedgerSnapshot, claim: Claim) -> datetime | None:
    """As `Ledger.draw` would find it."""
    [(marker,)] = _rows(ledger, _LAST_MARKER, {"cluster": claim.cluster, "customer": claim.customer})
    return marker if isinstance(marker, datetime) else None


def _gone(found: Emptied) -> Gone:
    return Gone(Of(found.cluster, found.customer, found.dataset), found.window.days, found.attempt_id, found.since)


def _paused(ledger: LedgerSnapshot) -> tuple[Paused, ...]:
    found = (p for p in read_pauses(ledger).values() if p.in_force)
    return tuple(Paused(p.cluster, p.is_stopped, p.why, p.by_whom, p.since) for p in found)


def _rows(ledger: Ledger, sql: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    with ledger.transaction() as connection:
        return connection.execute(sql.encode(), values).fetchall()


_PROVED = """
SELECT DISTINCT ON (a.cluster, a.customer, a.dataset, day.key)
       a.cluster, a.customer, a.dataset, day.key::date, day.value ->> 'verdict',
       (SELECT coalesce(sum(value::bigint), 0) FROM jsonb_each_text(a.proof -> 'rows' -> day.key)), a.recorded_at
FROM audit.attempts AS a, jsonb_each(a.proof -> 'days') AS day
WHERE a.start_day < %(end)s AND a.end_day > %(start)s AND a.proof ? 'days'
  AND day.key::date >= %(start)s AND day.key::date < %(end)s
ORDER BY a.cluster, a.customer, a.dataset, day.key, a.recorded_at DESC
"""
_HELD = """
SELECT l.cluster, l.customer, l.dataset, l.attempt_id, l.run_id, array_agg(l.day ORDER BY l.day),
       coalesce(min(m.drawn_at), now())
FROM ledger.leases AS l LEFT JOIN ledger.markers AS m USING (attempt_id)
WHERE l.expires_at >= now() GROUP BY 1, 2, 3, 4, 5
"""
_PACES = """
SELECT cluster, customer, dataset, count(*),
       coalesce(sum((SELECT sum(t.value::bigint) FROM jsonb_each(proof -> 'rows') AS d, jsonb_each_text(d.value) AS t)), 0),
       coalesce(sum((proof -> 'seconds' ->> 'follow')::float), 0),
       coalesce(sum((proof -> 'seconds' ->> 'inspect')::float + (proof -> 'seconds' ->> 'delete')::float), 0)
FROM (
    SELECT cluster, customer, dataset, proof,
           row_number() OVER (PARTITION BY cluster, customer, dataset ORDER BY recorded_at DESC) AS age
    FROM audit.attempts WHERE proof ? 'seconds' AND recorded_at > now() - interval '90 days'
) AS a WHERE age <= 5 GROUP BY 1, 2, 3
"""
_KNOWN = """
SELECT m.attempt_id, EXISTS (
    SELECT FROM ledger.leases AS l WHERE l.attempt_id = m.attempt_id AND l.expires_at >= now())
FROM ledger.markers AS m WHERE m.attempt_id = ANY (%(ids)s)
"""
_LAST_MARKER = "SELECT max(marker) FROM ledger.markers WHERE cluster = %(cluster)s AND customer = %(customer)s"
