"""Named causes of failures, what to do about each, and how a rule knows one: by codes and phrases.

Never by a bare number or word: it may be a count of rows or a customer's name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.texts import one_line

EVIDENCE_LENGTH = 300
SQLSTATE_LENGTH = 5


class _Named(StrEnum):
    @property
    def slug(self) -> str:
        """Fit for the value of a tag."""
        return re.sub(r"[^A-Za-z0-9_.-]+", "-", self.value)


class Remedy(_Named):
    AGAIN = "again"  # the same window, later
    SMALLER = "again, smaller"  # fewer days or rows at once
    WAIT = "wait"  # a system must recover first
    BY_HAND = "by hand"  # it fails again until a person has changed something
    ONCE = "once more"  # nobody knows; one more try, then a person


class Cause(_Named):
    RECOVERY_CONFLICT = "conflict with recovery"
    DEADLOCK = "deadlock"
    SERIALIZATION = "serialization failure"
    STATEMENT_TIMEOUT = "statement time-out"
    LOCK_TIMEOUT = "lock time-out"
    IDLE_TIMEOUT = "idle session ended"
    READ_ONLY = "PostgreSQL is read-only"
    SERVER_SHUTDOWN = "PostgreSQL shut down or session ended"
    TOO_MANY_CONNECTIONS = "too many connections"
    NO_RESOURCE = "server out of disk or memory"
    SCHEMA_DRIFT = "schema drift"
    NOT_PERMITTED = "not permitted"
    CLICKHOUSE_TIMEOUT = "ClickHouse time-out"
    CLICKHOUSE_STOPPING = "ClickHouse stopping"
    CLICKHOUSE_MEMORY = "ClickHouse memory limit"
    TOO_MANY_PARTS = "too many parts"
    KEEPER = "Keeper away"
    OVERLOADED = "server overloaded"
    UNFINISHED_REPLICA = "a replica has not done it"
    NOT_SUPPORTED = "not supported by the table"
    QUERY_KILLED = "query killed"
    TOO_MANY_MUTATIONS = "too many mutations"
    IMAGE_PULL = "image pull"
    OUT_OF_MEMORY = "out of memory"
    EVICTED = "evicted"
    UNSCHEDULABLE = "unschedulable"
    POD_REFUSED = "pod refused by the cluster"
    SUSPENDED = "suspended"
    HEARTBEAT_TIMEOUT = "heartbeat time-out"
    START_TO_CLOSE_TIMEOUT = "start-to-close time-out"
    WORKER_BLOCKED = "a worker hung in a workflow"
    HISTORY_LIMIT = "workflow history too large"
    NO_WORKER = "no worker took it"
    DEADLINE = "deadline"
    GONE = "gone before its end was seen"
    CANCELLED = "cancelled from outside"
    SIGTERM = "ended by SIGTERM"
    CONNECTION_LOST = "connection lost"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no answer in time"
    HELD = "held by another run"
    UNWELL = "cluster not well enough"
    DIFFERS = "both sides differ"
    REFUSED = "refused by a guard"
    MISSING = "missing"
    FAILS_AGAIN = "fails the same way each time"
    PASSING = "a passing failure"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Rule:
    """What gives a cause away.

    Args:
        sqlstates: PostgreSQL's codes; two characters are a whole class.
        clickhouse: ClickHouse's error numbers.
        phrases: regular expressions.
        kinds: our own errors that nothing more exact is known about.
        narrow: its codes have other causes too; one of its phrases must be there as well.
    """

    cause: Cause
    remedy: Remedy
    next_step: str
    sqlstates: tuple[str, ...] = ()
    clickhouse: tuple[int, ...] = ()
    phrases: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    narrow: bool = False

    def found_in(self, text: str) -> str | None:
        """The words around what gives it away; None if nothing does."""
        found = (re.search(pattern, text) for pattern in self._patterns())
        match = next(filter(None, found), None)
        return around(text, match.start()) if match else None

    def is_of(self, error: PipelineError) -> bool:
        """Whether the error has one of its codes, and one of its phrases where codes alone do not prove it."""
        return self._has_code(error) and (not self.narrow or any(re.search(p, error.why) for p in self.phrases))

    def _patterns(self) -> Iterator[str]:
        yield from self.phrases
        if not self.narrow:
            yield from map(_sqlstate, self.sqlstates)
            yield from map(_clickhouse, self.clickhouse)
        yield from (rf"\(type {kind}\)" for kind in self.kinds)

    def _has_code(self, error: PipelineError) -> bool:
        code = error.code or ""
        if error.where.startswith("ClickHouse"):  # numbers elsewhere are HTTP statuses
            return code.isdecimal() and int(code) in self.clickhouse
        return len(code) == SQLSTATE_LENGTH and (code in self.sqlstates or code[:2] in self.sqlstates)


def _sqlstate(code: str) -> str:
    """As `[40P01]` in our errors, and as drivers word it: `SQLSTATE 40P01`, `SQLSTATE: 40P01`, `SQLSTATE[40P01]`."""
    whole = code if len(code) == SQLSTATE_LENGTH else rf"{code}[0-9A-Z]{{3}}"
    return rf"\[{whole}\]\. Where: postgresql://|(?i:\bSQLSTATE)[ =:\[]{{1,2}}{whole}\b"


def _clickhouse(code: int) -> str:
    """As `[241]` in our errors, `Code: 241. DB::Exception` of the server, `code: 241, message:` of its Go driver.

    What comes of Keeper is a `Coordination::Exception`.
    """
    return (
        rf"\[{code}\]\. Where: ClickHouse |\bCode: {code}[.,]\s+(?:DB::|Coordination::|e\.displayText)"
        rf"|(?<![A-Za-z] )\bcode: {code}, (?:message|server response): "
    )


def around(text: str, at: int) -> str:
    """Some words before and after a place, on one line, from the beginning of a sentence where there is one near."""
    first = max(0, at - EVIDENCE_LENGTH // 2)
    sentence = text.rfind(". ", first, at) + 2
    start = first if first == 0 else sentence if sentence > 1 else text.find(" ", first) + 1
    return one_line(text[start : start + EVIDENCE_LENGTH])
