"""PostgreSQL: connections whose waits all end, snapshots, and errors as one of our kinds.

Every session is UTC with a statement timeout. Nothing that leaves this file holds the password.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import adbc_driver_manager
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.masking import MASK
from backfill_pipeline.domain.texts import one_line

APPLICATION = "backfill-pipeline"
UTC_SESSION = "SET TimeZone TO 'UTC'"  # not among the options: the environment's PGTZ would win over it
# Ids that depend on each other (customer, profile, conversation) are estimated as one row. PostgreSQL then merged by
# customer and profile alone and compared 27,000 conversations with 44,000 scorecards one by one: minutes instead of 0.2 s.
BY_HASH = "SET LOCAL enable_mergejoin TO off"
SNAPSHOT = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
TOO_LARGE = "too_large"  # our own code: a read was stopped because it outgrew its memory
_WHY_LENGTH = 400
_NETWORK_DEADLINE_MS = 60_000


class Rule(NamedTuple):
    """What an SQLSTATE (or its first two characters, the class) means for a caller."""

    kind: Kind
    reason: str
    next_step: str


_AGAIN = "try again; it is repeated with a backoff where that is safe"
_SCHEMA = "compare the source's schema with the one in the documentation, then start again"
_RIGHTS = "correct the configured user, its password or its rights"

SQLSTATES: dict[str, Rule] = {
    "40P01": Rule(Kind.RETRY, "deadlock: the server ended us so that another could go on", _AGAIN),
    "40001": Rule(
        Kind.RETRY, "serialization failure or conflict with recovery", "try again; on a replica: hot_standby_feedback"
    ),
    "57014": Rule(Kind.RETRY, "statement timeout, or cancelled by someone", "try again with a smaller range"),
    "57P01": Rule(Kind.RETRY, "the server is being shut down or an administrator ended the session", _AGAIN),
    "57P02": Rule(Kind.RETRY, "the server restarts after a crash", _AGAIN),
    "57P03": Rule(Kind.RETRY, "the server starts up or is in recovery", _AGAIN),
    "57P04": Rule(Kind.MISSING, "the database was dropped", "correct `database` in the configuration"),
    "57P05": Rule(Kind.RETRY, "idle session timeout", _AGAIN),
    "25P03": Rule(Kind.RETRY, "idle in transaction timeout: the sink was slower than the source allows", _AGAIN),
    "25P04": Rule(Kind.RETRY, "transaction timeout", "try again with a smaller range"),
    "53300": Rule(Kind.RETRY, "too many connections", _AGAIN),
    "53": Rule(Kind.RETRY, "the server is out of a resource", _AGAIN),
    "55P03": Rule(Kind.RETRY, "a lock was not available in time", _AGAIN),
    "08": Rule(Kind.RETRY, "the connection was lost", _AGAIN),
    "42703": Rule(Kind.MISSING, "the source has no such column", _SCHEMA),
    "42P01": Rule(Kind.MISSING, "the source has no such table", _SCHEMA),
    "3F000": Rule(Kind.MISSING, "the source has no such schema", _SCHEMA),
    "3D000": Rule(Kind.MISSING, "the server has no such database", "correct `database` in the configuration"),
    "42501": Rule(Kind.STOP, "the user may not do this", _RIGHTS),
    "28": Rule(Kind.STOP, "the server does not accept the user", _RIGHTS),
    "42": Rule(Kind.STOP, "the statement does not fit the server", "report it: the statement is ours"),
    "22": Rule(Kind.STOP, "a value can't be used as this type", "look at the row that the message names"),
    "25006": Rule(Kind.RETRY, "the server is read-only, as after a failover", "try again; name the primary as `host`"),
}

_POOLER = Rule(Kind.UNREACHABLE, "the pooler does not reach the server", "look at the server behind the pooler")
_NO_WAY = Rule(Kind.UNREACHABLE, "no way to the host", "look at the network")
# While connecting, libpq gives text and no SQLSTATE. Order matters: the first text that is found decides.
CONNECT_TEXTS: tuple[tuple[str, Rule], ...] = (
    ("conflict with recovery", SQLSTATES["40001"]),
    ("too many clients", SQLSTATES["53300"]),
    ("remaining connection slots", SQLSTATES["53300"]),
    ("too many connections for", SQLSTATES["53300"]),  # a role's or a database's own limit
    ("is starting up", SQLSTATES["57P03"]),
    ("is shutting down", SQLSTATES["57P01"]),
    ("not yet accepting connections", SQLSTATES["57P03"]),
    ("not accepting connections", SQLSTATES["57P03"]),
    ("not currently accepting connections", SQLSTATES["57P03"]),
    ("no more connections allowed", SQLSTATES["53300"]),  # PgBouncer's words, like the next
    ("query_wait_timeout", SQLSTATES["53300"]),
    ("in recovery mode", SQLSTATES["57P03"]),
    ("password authentication failed", SQLSTATES["28"]),
    ("no password supplied", SQLSTATES["28"]),
    ("pg_hba.conf", SQLSTATES["28"]),
    ('FATAL: role "', SQLSTATES["28"]),  # it does not exist, or may not log in
    ("does not exist", SQLSTATES["3D000"]),
    ("server login has been failing", _POOLER),  # it quotes why; what only a person can change is told above
    ("server conn crashed?", SQLSTATES["08"]),
    ("server closed the connection", SQLSTATES["08"]),
    ("terminating connection", SQLSTATES["57P01"]),
    ("Connection reset by peer", SQLSTATES["08"]),
    ("the connection is lost", SQLSTATES["08"]),
    ("the connection is closed", SQLSTATES["08"]),
    ("no connection to the server", SQLSTATES["08"]),
    ("Connection refused", Rule(Kind.UNREACHABLE, "nobody listens at the address", "start PostgreSQL or correct it")),
    ("No such file or directory", Rule(Kind.UNREACHABLE, "no socket there", "start PostgreSQL or correct the host")),
    ("could not translate host", Rule(Kind.UNREACHABLE, "the host's name is not known", "correct `host`")),
    ("failed to resolve host", Rule(Kind.UNREACHABLE, "the host's name is not known", "correct `host`")),
    ("timeout expired", Rule(Kind.UNREACHABLE, "no answer in time", "look at the network and the server")),
    ("No route to host", _NO_WAY),
    *((f"failed: {said}", _NO_WAY) for said in ("Connection timed out", "Operation timed out")),
    *(
        (f"failed: {said}", _NO_WAY)
        for said in ("Network is unreachable", "Network unreachable", "Host is unreachable")
    ),
    ("could not receive data from server", SQLSTATES["08"]),
    ("could not send data to server", SQLSTATES["08"]),
    ("SSL SYSCALL error", SQLSTATES["08"]),
    ("SSL connection has been closed", SQLSTATES["08"]),
)
_NO_RULE = Rule(Kind.UNKNOWN, "no rule matches", "read the message; add a rule to stores/postgres.py if it is usual")


def rule_of(code: str | None, message: str) -> Rule:
    """The rule for an SQLSTATE, its class, or (where the driver gives none) the text of the message."""
    if code:
        return SQLSTATES.get(code) or SQLSTATES.get(code[:2]) or _NO_RULE
    return next((rule for text, rule in CONNECT_TEXTS if text in message), _NO_RULE)


def must_shrink(error: PipelineError) -> bool:
    """Whether the same read can only succeed with fewer rows: time-out, recovery conflict, too much memory."""
    return error.code in {"57014", "25P04", TOO_LARGE} or (error.code == "40001" and "recovery" in error.why)


class Postgres:
    """One database. Cheap to make; connects only when asked to, and again each time.

    Raises (everywhere): PipelineError with the kind of SQLSTATES.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self.address = address

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[TupleRow]]:
        """An autocommit connection in UTC, closed at the end."""
        with self.translated(), psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(UTC_SESSION)
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[psycopg.Connection[TupleRow]]:
        """A connection inside one REPEATABLE READ READ ONLY transaction: all its reads see the same moment."""
        with self.connection() as connection:
            connection.execute(SNAPSHOT)
            connection.execute(BY_HASH)
            yield connection
            connection.execute("COMMIT")

    def now(self) -> datetime:
        """The server's own clock (aware, UTC)."""
        with self.connection() as connection:
            row = connection.execute("SELECT now()").fetchone()
        assert row is not None
        moment: datetime = row[0]
        return moment.astimezone(UTC)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turns both drivers' errors into PipelineError."""
        try:
            yield
        except (psycopg.Error, adbc_driver_manager.Error) as error:
            raise self._named(error) from None

    def _named(self, error: Any) -> PipelineError:
        code = getattr(error, "sqlstate", None) or None
        message = self._without_secret(str(error))
        rule = rule_of(code, one_line(str(error)))  # of what it said: the password may be one of the rule's words
        return PipelineError(
            f"PostgreSQL failed: {rule.reason}",
            where=str(self.address),
            why=message[:_WHY_LENGTH],
            next_step=rule.next_step,
            kind=rule.kind,
            code=code,
        )

    def _without_secret(self, text: str) -> str:
        """On one line. Tidied, a password is not found any more; some of its characters PostgreSQL quotes as blanks."""
        password = self.address.password() or ""
        for secret, form in ((password, one_line), (one_line(password), str)):
            text = form(text.replace(secret, MASK) if secret else text)
        return text

    def conninfo(self) -> str:
        """How libpq connects; holds the password."""
        address = self.address
        return make_conninfo(
            host=address.host,
            port=address.port,
            dbname=address.database,
            user=address.user,
            password=address.password(),
            sslmode=address.sslmode,
            connect_timeout=address.connect_timeout_seconds,
            application_name=APPLICATION,
            tcp_user_timeout=_NETWORK_DEADLINE_MS,
            keepalives_idle=_NETWORK_DEADLINE_MS // 2000,
            # jit: compiling takes longer than the slices and counts that we ask for
            options=f"-c jit=off -c statement_timeout={address.statement_timeout_seconds * 1000}",
        )
