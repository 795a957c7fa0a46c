"""The ledger: who may touch which day, which marker was drawn, what was proved. PostgreSQL, a database of its own.

A lease is a row per day: overlapping windows are a primary-key conflict (trap D16). It is taken in one transaction,
has a fencing number that only grows, and expires by the database's clock when its holder stops renewing it.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from importlib import resources
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from backfill_pipeline.domain.causes import Remedy
from backfill_pipeline.domain.cuts import Tried
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.markers import draw_marker
from backfill_pipeline.domain.plans import Attempt, Claim
from backfill_pipeline.domain.windows import Window, windows_of
from backfill_pipeline.stores.postgres import Postgres

_SCHEMA_LOCK = 7_204_511  # two processes that create the schema at once would collide


_HAS_SCHEMA: set[str] = set()  # addresses whose schema this process has ensured


@dataclass(frozen=True)
class Emptied:
    """Days whose delete was submitted by an attempt, and whose rows no verdict has found again."""

    cluster: str
    customer: str
    dataset: str
    window: Window
    attempt_id: str
    since: datetime


class Ledger:
    """Leases, markers, step records and the audit."""

    def __init__(self, postgres: Postgres, *, lease_seconds: float = 60) -> None:
        self._postgres = postgres
        self.lease_seconds = lease_seconds

    def ensure_schema(self) -> None:
        sql = resources.files("backfill_pipeline.stores.sql").joinpath("ledger.sql").read_text(encoding="utf-8")
        with self._postgres.connection() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_SCHEMA_LOCK])
            connection.execute(sql.encode())
        _HAS_SCHEMA.add(str(self._postgres.address))

    @contextmanager
    def transaction(self) -> Iterator[Connection[Any]]:
        """Whichever process comes first makes the tables: a backfill may be launched before anything else ran."""
        if str(self._postgres.address) not in _HAS_SCHEMA:
            self.ensure_schema()
        with self._postgres.connection() as connection, connection.transaction():
            yield connection

    # leases

    def take(self, claim: Claim) -> int:
        """The fencing number of a lease on every day of the window; taking it again renews it.

        Raises:
            Refused: another attempt holds a day; says which one, its run and until when.
        """
        with self.transaction() as connection:
            _lock_customer(connection, claim.cluster, claim.customer)
            fence = connection.execute("SELECT nextval('ledger.fence')").fetchone()[0]  # type: ignore[index]
            taken = connection.execute(_TAKE, {**vars(claim), "days": list(claim.window.days), **self._term(fence)})
            if taken.rowcount < len(claim.window.days):
                raise _held(claim, connection.execute(_HOLDERS, _days_of(claim)).fetchall())
        return int(fence)

    def renew(self, attempt: Attempt) -> bool:
        """True while the lease is still this attempt's on every day; it is then good for another term."""
        with self.transaction() as connection:
            renewed = connection.execute(_RENEW, {**_mine(attempt), **self._term(attempt.fence)})
        return renewed.rowcount == len(attempt.window.days)

    def check_held(self, attempt: Attempt) -> None:
        """Renew, or refuse to go on.

        Raises:
            PipelineError: the lease was lost; somebody else may be at work on these days.
        """
        if not self.renew(attempt):
            raise _lost(attempt)

    def release(self, attempt_id: str, fence: int) -> None:
        with self.transaction() as connection:
            connection.execute("DELETE FROM ledger.leases WHERE attempt_id = %s AND fence = %s", [attempt_id, fence])

    @contextmanager
    def kept(self, attempt: Attempt) -> Iterator[None]:
        """Renew the lease in the background for as long as the block runs.

        Whoever is about to change something asks `check_held` first: a lease can be lost while a process sleeps.
        """
        stop = threading.Event()
        self.check_held(attempt)
        keeper = threading.Thread(target=self._keep, args=(attempt, stop), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            stop.set()
            keeper.join()

    def _keep(self, attempt: Attempt, stop: threading.Event) -> None:
        while not stop.wait(self.lease_seconds / 4):
            with suppress(PipelineError):  # the ledger may be back before the term ends
                if not self.renew(attempt):
                    return

    def _term(self, fence: int) -> dict[str, Any]:
        return {"fence": fence, "term": timedelta(seconds=self.lease_seconds)}

    # markers

    def draw(self, claim: Claim, fence: int, *, server_now: datetime, skew: timedelta, scale: int) -> Attempt:
        """The attempt with its marker, written down before anything is deleted; asked again, it is the same one.

        The marker is above all earlier ones of the customer in any dataset, as datasets share tables.
        """
        with self.transaction() as connection:
            _lock_customer(connection, claim.cluster, claim.customer)
            last = connection.execute(_LAST_MARKER, vars(claim)).fetchone()[0]  # type: ignore[index]
            marker = draw_marker(last, server_now, skew, scale)
            row = connection.execute(
                _DRAW,
                {
                    **vars(claim),
                    **_span(claim.window),
                    "profiles": list(claim.profiles),
                    "marker": marker,
                    "fence": fence,
                },
            ).fetchone()
        assert row is not None
        return replace(_attempt(row), notes=claim.notes)

    def unended(self, claim: Claim) -> tuple[Attempt, ...]:
        """Earlier attempts on these days of which something may still be at work, oldest first."""
        with self.transaction() as connection:
            rows = connection.execute(_UNENDED, {**vars(claim), **_span(claim.window)}).fetchall()
        return tuple(_attempt(r) for r in rows)

    def set_job_days(self, attempt: Attempt, job_days: int, jobs_at: str) -> Attempt:
        """The attempt cut into Jobs of so many days; written down before the first is made, as they are ended by name.

        Args:
            jobs_at: where they will be made, in words.
        """
        with self.transaction() as connection:
            connection.execute(_SET_JOB_DAYS, [job_days, jobs_at, attempt.attempt_id])
        return replace(attempt, job_days=job_days, jobs_at=jobs_at)

    def tried(self, claim: Claim) -> tuple[Tried, ...]:
        """How the last attempts of this customer and dataset went that say something about the size of a Job, oldest first."""
        with self.transaction() as connection:
            rows = connection.execute(_TRIED, {**vars(claim), "smaller": Remedy.SMALLER.value}).fetchall()
        return tuple(Tried(size, passed) for size, passed in reversed(rows))

    def mark_delete_submitted(self, attempt: Attempt) -> None:
        """From here on the window is emptied, until `close`."""
        self._stamp("delete_submitted_at", attempt.attempt_id)

    def is_delete_submitted(self, attempt: Attempt) -> bool:
        """Whether this very attempt has come so far before."""
        with self.transaction() as connection:
            row = connection.execute(_IS_SUBMITTED, [attempt.attempt_id]).fetchone()
        return bool(row and row[0])

    def mark_ended(self, attempt: Attempt, *, after_seconds: float = 0) -> None:
        """Its Job and workflows have ended; after_seconds: what they may have left at work is over by then."""
        self._stamp("ended_at", attempt.attempt_id, after_seconds)

    def close(self, attempt: Attempt, *, left_empty: Sequence[date] = ()) -> None:
        """left_empty: days whose rows the verdict did not find; they stay emptied until the next verdict."""
        with self.transaction() as connection:
            connection.execute(
                "UPDATE ledger.markers SET closed_at = least(closed_at, now()), left_empty = %s WHERE attempt_id = %s",
                [list(left_empty), attempt.attempt_id],
            )

    def _stamp(self, column: str, attempt_id: str, after_seconds: float = 0) -> None:
        assert column in ("delete_submitted_at", "ended_at")
        with self.transaction() as connection:
            connection.execute(
                f"UPDATE ledger.markers SET {column} = least({column}, now() + %s) WHERE attempt_id = %s".encode(),  # noqa: S608 - one of two names
                [timedelta(seconds=after_seconds), attempt_id],
            )

    def emptied(self) -> tuple[Emptied, ...]:
        """Every window that is emptied now, oldest first."""
        with self.transaction() as connection:
            rows = connection.execute(_EMPTIED).fetchall()
        return tuple(
            Emptied(cluster, customer, dataset, window, attempt_id, since)
            for cluster, customer, dataset, attempt_id, since, days in rows
            for window in windows_of(days)
        )

    def left_emptied(self) -> tuple[Emptied, ...]:
        """Those that nobody is at work on: the attempt's lease is over."""
        with self.transaction() as connection:
            rows = connection.execute("SELECT attempt_id FROM ledger.leases WHERE expires_at >= now()").fetchall()
        held = {row[0] for row in rows}
        return tuple(e for e in self.emptied() if e.attempt_id not in held)

    # step records and the audit

    def write_step(self, run_id: str, step: str, record: str) -> None:
        """Keep a step's record (JSON text); written again, the newest counts."""
        with self.transaction() as connection:
            connection.execute(_WRITE_STEP, [run_id, step, Jsonb(storable(json.loads(record)))])

    def read_step(self, run_id: str, step: str) -> str | None:
        with self.transaction() as connection:
            row = connection.execute(
                "SELECT record::text FROM ledger.step_records WHERE run_id = %s AND step = %s", [run_id, step]
            ).fetchone()
        return str(row[0]) if row else None

    def audit(self, attempt: Attempt, outcome: str, launched_by: str, proof: Mapping[str, Any]) -> str:
        """Write the attempt's one row, if it has none yet; returns the SHA-256 that stands in the row."""
        said = storable({"launched_by": launched_by, "proof": proof})
        row = {**_audit_identity(attempt), "outcome": outcome, **said}
        digest = hashlib.sha256(json.dumps(row, sort_keys=True, default=str).encode()).hexdigest()
        with self.transaction() as connection:
            connection.execute(_AUDIT, {**row, "proof": Jsonb(row["proof"]), "hash": digest})
            kept = connection.execute("SELECT hash FROM audit.attempts WHERE attempt_id = %s", [attempt.attempt_id])
            return str(kept.fetchone()[0])  # type: ignore[index]


_TAKE = """
INSERT INTO ledger.leases AS l (cluster, customer, dataset, day, attempt_id, run_id, fence, expires_at)
SELECT %(cluster)s, %(customer)s, %(dataset)s, day, %(attempt_id)s, %(run_id)s, %(fence)s, now() + %(term)s
FROM unnest(%(days)s::date[]) AS day ORDER BY day
ON CONFLICT (cluster, customer, dataset, day) DO UPDATE
SET attempt_id = excluded.attempt_id, run_id = excluded.run_id, fence = excluded.fence, expires_at = excluded.expires_at
WHERE l.attempt_id = excluded.attempt_id OR l.expires_at < now()
"""
_HOLDERS = """
SELECT day, attempt_id, run_id, expires_at, extract(epoch FROM expires_at - now())::int FROM ledger.leases
WHERE cluster = %(cluster)s AND customer = %(customer)s AND dataset = %(dataset)s AND day = ANY (%(days)s)
  AND attempt_id <> %(attempt_id)s AND expires_at >= now() ORDER BY day
"""
_RENEW = """
UPDATE ledger.leases SET expires_at = now() + %(term)s
WHERE cluster = %(cluster)s AND customer = %(customer)s AND dataset = %(dataset)s
  AND attempt_id = %(attempt_id)s AND fence = %(fence)s
"""
_LAST_MARKER = """
SELECT max(marker) FROM ledger.markers
WHERE cluster = %(cluster)s AND customer = %(customer)s AND attempt_id <> %(attempt_id)s
"""
_DRAWN = "attempt_id, run_id, cluster, customer, profiles, dataset, start_day, end_day, marker, fence"
_ATTEMPT_COLUMNS = f"{_DRAWN}, job_days, jobs_at"  # as in _attempt
_DRAW = f"""
INSERT INTO ledger.markers ({_DRAWN})
VALUES (%(attempt_id)s, %(run_id)s, %(cluster)s, %(customer)s, %(profiles)s, %(dataset)s, %(start_day)s, %(end_day)s,
        %(marker)s, %(fence)s)
ON CONFLICT (attempt_id) DO UPDATE SET fence = excluded.fence
RETURNING {_ATTEMPT_COLUMNS}
""".encode()  # noqa: S608 - names of our own columns
_SET_JOB_DAYS = "UPDATE ledger.markers SET job_days = %s, jobs_at = %s WHERE attempt_id = %s"
_TRIED = """
SELECT (proof ->> 'job_days')::int, outcome = 'done' FROM audit.attempts
WHERE cluster = %(cluster)s AND customer = %(customer)s AND dataset = %(dataset)s
  AND recorded_at > now() - interval '90 days' AND proof ->> 'job_days' IS NOT NULL
  AND (outcome = 'done' OR proof ->> 'remedy' = %(smaller)s)
ORDER BY recorded_at DESC LIMIT 50
"""
_IS_SUBMITTED = "SELECT delete_submitted_at IS NOT NULL FROM ledger.markers WHERE attempt_id = %s"
_UNENDED = f"""
SELECT {_ATTEMPT_COLUMNS} FROM ledger.markers
WHERE cluster = %(cluster)s AND customer = %(customer)s AND dataset = %(dataset)s AND attempt_id <> %(attempt_id)s
  AND start_day < %(end_day)s AND end_day > %(start_day)s AND (ended_at IS NULL OR ended_at > now())
ORDER BY marker
""".encode()  # noqa: S608 - names of our own columns
_EMPTIED = """
SELECT m.cluster, m.customer, m.dataset, m.attempt_id, m.delete_submitted_at, array_agg(day::date ORDER BY day)
FROM ledger.markers AS m, generate_series(m.start_day, m.end_day - 1, interval '1 day') AS day
WHERE m.delete_submitted_at IS NOT NULL AND (m.closed_at IS NULL OR day::date = ANY (m.left_empty))
  AND NOT EXISTS (
      SELECT FROM ledger.markers AS n
      WHERE (n.cluster, n.customer, n.dataset) = (m.cluster, m.customer, m.dataset) AND n.marker > m.marker
        AND day >= n.start_day AND day < n.end_day AND n.closed_at IS NOT NULL)
GROUP BY 1, 2, 3, 4, 5 ORDER BY 5
"""
_WRITE_STEP = """
INSERT INTO ledger.step_records (run_id, step, record) VALUES (%s, %s, %s)
ON CONFLICT (run_id, step) DO UPDATE SET record = excluded.record, written_at = now()
"""
_AUDIT = """
INSERT INTO audit.attempts
    (attempt_id, run_id, cluster, customer, dataset, start_day, end_day, marker, outcome, launched_by, proof, hash)
VALUES (%(attempt_id)s, %(run_id)s, %(cluster)s, %(customer)s, %(dataset)s, %(start_day)s, %(end_day)s, %(marker)s,
        %(outcome)s, %(launched_by)s, %(proof)s, %(hash)s)
ON CONFLICT (attempt_id) DO NOTHING
"""


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable(value: Any) -> Any:
    """What JSON of this PostgreSQL stores: it has no NUL in any text, and no half of a surrogate pair.

    A failure is told by whatever a system said, and must not be lost for how it said it.
    """
    if isinstance(value, str):
        return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, Mapping):
        return {storable(name): storable(part) for name, part in value.items()}
    return [storable(part) for part in value] if isinstance(value, list | tuple) else value


def _lock_customer(connection: Connection[Any], cluster: str, customer: str) -> None:
    """Serialise takers and drawers of a customer: two overlapping inserts could otherwise deadlock."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [f"{cluster}/{customer}"])


def _span(window: Window) -> dict[str, date]:
    return {"start_day": window.start, "end_day": window.end}


def _mine(attempt: Attempt) -> dict[str, Any]:
    names = ("attempt_id", "cluster", "customer", "dataset", "fence")
    return {n: getattr(attempt, n) for n in names}


def _days_of(claim: Claim) -> dict[str, Any]:
    return {**vars(claim), "days": list(claim.window.days)}


def _attempt(row: Sequence[Any]) -> Attempt:
    attempt_id, run_id, cluster, customer, profiles, dataset, start, end, marker, fence, *jobs = row
    window = Window(start, end)
    return Attempt(attempt_id, run_id, cluster, customer, tuple(profiles), dataset, window, marker, int(fence), *jobs)


def _audit_identity(attempt: Attempt) -> dict[str, Any]:
    names = ("attempt_id", "run_id", "cluster", "customer", "dataset", "marker")
    return {**{n: getattr(attempt, n) for n in names}, **_span(attempt.window)}


def _held(claim: Claim, holders: Sequence[Sequence[Any]]) -> Refused:
    days = ", ".join(str(h[0]) for h in holders[:10])
    _, attempt_id, run_id, until, seconds = holders[0] if holders else (None, "unknown", "unknown", "unknown", 0)
    return Refused(
        "Another attempt holds the lease of these days",
        where=f"{claim.dataset} of {claim.customer} on {claim.cluster}: {days}",
        why=f"run {run_id} (attempt {attempt_id}) holds it until {until} unless it renews it",
        next_step=f"wait for run {run_id} or cancel it; if its process is gone the lease ends in {seconds} s",
    )


def _lost(attempt: Attempt) -> PipelineError:
    return PipelineError(
        "The lease of these days was lost",
        where=str(attempt),
        why="it was not renewed in time (the ledger was away, or this process slept) and somebody else may hold it",
        next_step="rerun the failed days; nothing more was done by this run",
        kind=Kind.RETRY,
    )
