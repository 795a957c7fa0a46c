"""Why a window failed, and what to do about it: a table of named causes with the texts that give them away.

A failure reaches us as text: a Temporal execution's chain of messages, a Job's end, our own error with its code. Workers
that are not ours word theirs in their own way, so a cause is known by the codes and phrases that the systems themselves
use. What no rule knows is UNKNOWN, which is tried again but once.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

EVIDENCE_LENGTH = 300


class Remedy(StrEnum):
    AGAIN = "again"  # the same window, later
    SMALLER = "again, smaller"  # fewer days or rows at once
    WAIT = "wait"  # a system must recover first
    BY_HAND = "by hand"  # it fails again until a person has changed something
    ONCE = "once more"  # nobody knows; one more try, then a person


class Cause(StrEnum):
    HEARTBEAT_TIMEOUT = "heartbeat time-out"
    START_TO_CLOSE_TIMEOUT = "start-to-close time-out"
    DEADLOCK = "deadlock"
    SERIALIZATION = "serialization failure"
    RECOVERY_CONFLICT = "conflict with recovery"
    STATEMENT_TIMEOUT = "statement time-out"
    SERVER_SHUTDOWN = "PostgreSQL shut down or session ended"
    TOO_MANY_CONNECTIONS = "too many connections"
    CLICKHOUSE_TIMEOUT = "ClickHouse time-out"
    CLICKHOUSE_STOPPING = "ClickHouse stopping"
    CLICKHOUSE_MEMORY = "ClickHouse memory limit"
    TOO_MANY_PARTS = "too many parts"
    UNFINISHED_REPLICA = "a replica has not done it"
    NOT_SUPPORTED = "not supported by the table"
    QUERY_KILLED = "query killed"
    TOO_MANY_MUTATIONS = "too many mutations"
    SCHEMA_DRIFT = "schema drift"
    IMAGE_PULL = "image pull"
    OUT_OF_MEMORY = "out of memory"
    EVICTED = "evicted"
    UNSCHEDULABLE = "unschedulable"
    DEADLINE = "deadline"
    CANCELLED = "cancelled from outside"
    UNREACHABLE = "unreachable"
    REFUSED = "refused by a guard"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Rule:
    """texts: regular expressions, any of which gives the cause away."""

    cause: Cause
    remedy: Remedy
    next_step: str
    texts: tuple[str, ...]

    def found_in(self, text: str) -> str | None:
        """The words around what gave it away."""
        for pattern in self.texts:
            match = re.search(pattern, text)
            if match:
                start = max(0, match.start() - EVIDENCE_LENGTH // 2)
                return " ".join(text[start : start + EVIDENCE_LENGTH].split())
        return None


@dataclass(frozen=True)
class Diagnosis:
    cause: Cause
    remedy: Remedy
    evidence: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.remedy}. {self.next_step}. Seen: {self.evidence}"


def _sqlstate(code: str) -> str:
    """As `[40P01]` in our errors, `SQLSTATE 40P01` or `(40P01)` in those of other drivers."""
    return rf"(?:\[|\(|SQLSTATE[ =:]*){code}\b"


def _clickhouse(*codes: int) -> str:
    """As `Code: 241.` of the server and `code: 241,` of its Go driver."""
    return rf"\b[Cc]ode: ?(?:{'|'.join(map(str, codes))})[.,]"


# The first rule that fits decides: what names a thing exactly stands before what it may be part of.
RULES: tuple[Rule, ...] = (
    Rule(
        Cause.RECOVERY_CONFLICT,
        Remedy.SMALLER,
        "reads on a replica collide with its replay; hot_standby_feedback = on ends that",
        (r"conflict with recovery",),
    ),
    Rule(
        Cause.DEADLOCK,
        Remedy.SMALLER,
        "another writer locks the same rows in another order; one day at a time holds fewer locks",
        (_sqlstate("40P01"), r"deadlock detected"),
    ),
    Rule(
        Cause.SERIALIZATION,
        Remedy.AGAIN,
        "another transaction was faster; nothing is wrong with the window",
        (_sqlstate("40001"), r"could not serialize access"),
    ),
    Rule(
        Cause.STATEMENT_TIMEOUT,
        Remedy.SMALLER,
        "a statement took longer than statement_timeout; fewer days make it shorter",
        (_sqlstate("57014"), r"canceling statement due to (?:statement timeout|user request)"),
    ),
    Rule(
        Cause.SERVER_SHUTDOWN,
        Remedy.WAIT,
        "PostgreSQL was restarted, or an administrator ended the session",
        (_sqlstate("57P0[123]"), r"terminating connection due to administrator command"),
    ),
    Rule(
        Cause.TOO_MANY_CONNECTIONS,
        Remedy.WAIT,
        "PostgreSQL has no connection left; lower max_runs of the cluster or raise max_connections",
        (_sqlstate("53300"), r"too many clients already", r"remaining connection slots are reserved"),
    ),
    Rule(
        Cause.SCHEMA_DRIFT,
        Remedy.BY_HAND,
        "a table or column that the transfer reads or writes is gone; compare both schemas",
        (
            _sqlstate("42703"),
            _sqlstate("42P01"),
            _clickhouse(16, 47, 60),
            r"(?:column|relation) .{1,200} does not exist",
        ),
    ),
    Rule(
        Cause.CLICKHOUSE_TIMEOUT,
        Remedy.AGAIN,
        "what was asked for may go on in the background; the next attempt looks first",
        (_clickhouse(159, 209),),
    ),
    Rule(Cause.CLICKHOUSE_STOPPING, Remedy.WAIT, "the server was stopping", (_clickhouse(236, 210),)),
    Rule(
        Cause.CLICKHOUSE_MEMORY,
        Remedy.SMALLER,
        "the batch or the merge was too large for the server's memory limit",
        (_clickhouse(241),),
    ),
    Rule(
        Cause.TOO_MANY_PARTS,
        Remedy.WAIT,
        "merges must catch up; look at system.parts and system.merges",
        (_clickhouse(252),),
    ),
    Rule(
        Cause.UNFINISHED_REPLICA,
        Remedy.WAIT,
        "it was accepted, and an inactive replica has not done it; bring the replica back",
        (_clickhouse(341, 242),),
    ),
    Rule(
        Cause.NOT_SUPPORTED,
        Remedy.BY_HAND,
        "the table has a projection or an engine that forbids the statement",
        (_clickhouse(344),),
    ),
    Rule(
        Cause.QUERY_KILLED,
        Remedy.AGAIN,
        "somebody killed the query; ask who watches the cluster",
        (_clickhouse(394),),
    ),
    Rule(
        Cause.TOO_MANY_MUTATIONS,
        Remedy.WAIT,
        "mutations wait on the table; look at system.mutations",
        (_clickhouse(692),),
    ),
    Rule(
        Cause.IMAGE_PULL,
        Remedy.BY_HAND,
        "the image can't be pulled; look at its name, its tag and the pull secret",
        (r"\b(?:ErrImagePull|ImagePullBackOff|InvalidImageName)\b",),
    ),
    Rule(
        Cause.OUT_OF_MEMORY,
        Remedy.SMALLER,
        "the container outgrew its memory limit; fewer days, or a higher limit in the CronJob",
        (r"\bOOMKilled\b",),
    ),
    Rule(Cause.EVICTED, Remedy.WAIT, "the node was short of something and threw the pod out", (r"\bEvicted\b",)),
    Rule(
        Cause.UNSCHEDULABLE,
        Remedy.WAIT,
        "no node has room for the pod, or a quota is used up",
        (r"\bUnschedulable\b", r"exceeded quota"),
    ),
    Rule(
        Cause.HEARTBEAT_TIMEOUT,
        Remedy.SMALLER,
        "no row moved for that long: the worker died, hung or was overloaded",
        (r"activity Heartbeat timeout", r"TIMEOUT_TYPE_HEARTBEAT"),
    ),
    Rule(
        Cause.START_TO_CLOSE_TIMEOUT,
        Remedy.SMALLER,
        "the activity moved rows and was not done in its time",
        (r"activity StartToClose timeout", r"TIMEOUT_TYPE_START_TO_CLOSE"),
    ),
    Rule(
        Cause.DEADLINE,
        Remedy.SMALLER,
        "it was still at work at its deadline",
        (r"\bDeadlineExceeded\b", r"still running after its deadline", r"not over at its deadline"),
    ),
    Rule(
        Cause.CANCELLED,
        Remedy.BY_HAND,
        "a person or another program ended it; ask who, then rerun",
        (r"\bCANCELED\b", r"\bTERMINATED\b", r"cancelled from outside"),
    ),
    Rule(
        Cause.UNREACHABLE,
        Remedy.WAIT,
        "nobody answered at the address",
        (r"Connection refused", r"No route to host", r"is away\b", r"could not translate host", r"timeout expired"),
    ),
    Rule(Cause.REFUSED, Remedy.BY_HAND, "read which guard refused, and why", (r"\brefused by a guard\b",)),
)


def diagnose(texts: Iterable[str]) -> Diagnosis:
    """The first rule that fits any of these texts; UNKNOWN with the first of them if none does."""
    given = [text for text in texts if text]
    for rule in RULES:
        for text in given:
            evidence = rule.found_in(text)
            if evidence is not None:
                return Diagnosis(rule.cause, rule.remedy, evidence, rule.next_step)
    seen = " ".join((given or ["nothing was said"])[0].split())[:EVIDENCE_LENGTH]
    return Diagnosis(Cause.UNKNOWN, Remedy.ONCE, seen, "read what was seen; add a rule to domain/failures.py")
