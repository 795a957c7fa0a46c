"""Why a window failed, and what to do about it: a table of named causes with the codes and texts that give them away.

A failure reaches us as one of our errors (`diagnose_error`) or as text (`diagnose`): a Temporal execution's chain of
messages, a Job's end. Workers that are not ours word theirs in their own way, so a cause is known by the codes and
phrases that the systems themselves use. What no rule knows is UNKNOWN, which is tried again but once.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from backfill_pipeline.domain.causes import Cause, Remedy, Rule, around
from backfill_pipeline.domain.errors import Kind, PipelineError

DIFFERS = "the Job and its workflows ended well, and both sides differ"
# Our own words in an error's first sentence; what it quotes further on is not why it was raised.
_OURS: tuple[Rule, ...] = (
    Rule(
        Cause.HELD,
        Remedy.WAIT,
        "another run or workflow is at work on these days; it is asked again when that is over",
        phrases=(
            r"Another attempt holds the lease of these days",
            r"A workflow of the same customer and range is open and not ours",
        ),
    ),
    Rule(
        Cause.UNWELL,
        Remedy.WAIT,
        "look at the signals that it names; the thresholds are `health:` of the configuration",
        phrases=(r"Cluster \S+ was not well enough for a delete in \d+ s; nothing was deleted",),
    ),
)
# The first rule that fits decides: what names a thing exactly stands before what it may be part of. A guard quotes what
# it saw, which is not why it refused.
RULES: tuple[Rule, ...] = (
    *_OURS,
    Rule(
        Cause.DIFFERS,
        Remedy.AGAIN,
        "the source changed while it was read, or the transfer lost or doubled rows; the checks name them",
        phrases=(rf"^{DIFFERS}",),
    ),
    Rule(Cause.REFUSED, Remedy.BY_HAND, "read which guard refused, and why", kinds=(Kind.REFUSED,)),
    Rule(
        Cause.RECOVERY_CONFLICT,
        Remedy.SMALLER,
        "reads on a replica collide with its replay; hot_standby_feedback = on ends that",
        sqlstates=("40001",),
        phrases=(r"due to conflict with recovery",),
        narrow=True,
    ),
    Rule(
        Cause.DEADLOCK,
        Remedy.SMALLER,
        "another writer locks the same rows in another order; one day at a time holds fewer locks",
        sqlstates=("40P01",),
        phrases=(r"\bdeadlock detected\b",),
    ),
    Rule(
        Cause.SERIALIZATION,
        Remedy.AGAIN,
        "another transaction was faster; nothing is wrong with the window",
        sqlstates=("40001",),
        phrases=(r"\bcould not serialize access due to",),
    ),
    Rule(
        Cause.QUERY_KILLED,
        Remedy.AGAIN,
        "somebody cancelled the statement or killed the mutation; ask who watches the server",
        sqlstates=("57014",),
        clickhouse=(341,),
        phrases=(
            r"canceling statement due to user request",
            r"\bMutation \S+ was killed",
            r"\. Why: it (?:was killed|is listed no longer and rows are left: killed\?)\.",
        ),
        narrow=True,
    ),
    Rule(
        Cause.STATEMENT_TIMEOUT,
        Remedy.SMALLER,
        "a statement took longer than statement_timeout; fewer days make it shorter",
        sqlstates=("57014", "25P04"),
        phrases=(r"canceling statement due to statement timeout", r"terminating connection due to transaction timeout"),
    ),
    Rule(
        Cause.LOCK_TIMEOUT,
        Remedy.AGAIN,
        "another session held a lock for too long; look for a migration or a long transaction",
        sqlstates=("55P03",),
        phrases=(r"canceling statement due to lock timeout", r"could not obtain lock on (?:row|relation)"),
    ),
    Rule(
        Cause.IDLE_TIMEOUT,
        Remedy.SMALLER,
        "the session waited for its client for longer than the source allows; smaller batches shorten the pause",
        sqlstates=("25P03", "57P05"),
        phrases=(r"terminating connection due to idle-(?:in-transaction|session) timeout",),
    ),
    Rule(
        Cause.SERVER_SHUTDOWN,
        Remedy.WAIT,
        "PostgreSQL was restarted, or an administrator ended the session",
        sqlstates=("57P01", "57P02", "57P03"),
        phrases=(
            r"terminating connection due to administrator command",
            r"the database system is (?:starting up|shutting down|in recovery mode|not yet accepting connections)",
        ),
    ),
    Rule(
        Cause.TOO_MANY_CONNECTIONS,
        Remedy.WAIT,
        "the server has no connection or query left; lower max_runs of the cluster or raise the server's limit",
        sqlstates=("53300",),
        clickhouse=(202,),
        phrases=(
            r"sorry, too many clients already",
            r"remaining connection slots are reserved for",
            r"\btoo many connections for (?:role|database) ",
        ),
    ),
    Rule(
        Cause.NO_RESOURCE,
        Remedy.WAIT,
        "give the server disk, memory or temporary space, or wait until others have given theirs back",
        sqlstates=("53",),
        clickhouse=(243,),
    ),
    Rule(
        Cause.SCHEMA_DRIFT,
        Remedy.BY_HAND,
        "a table or column that the transfer reads or writes is gone; compare both schemas",
        sqlstates=("42703", "42P01", "3F000"),
        clickhouse=(16, 47, 60),
        phrases=(r'\b(?:column|relation|schema) "?[^" ]{1,130}"? does not exist',),
    ),
    Rule(
        Cause.NOT_PERMITTED,
        Remedy.BY_HAND,
        "correct the configured user, its password or its rights",
        sqlstates=("28", "42501"),
        clickhouse=(193, 497, 516),
        phrases=(
            r"\bpassword authentication failed for user",
            r"\bno password supplied\b",
            r"\bpg_hba\.conf (?:entry|rejects connection) for\b",
            r'FATAL: +role "[^"]+" does not exist',
        ),
    ),
    Rule(
        Cause.CLICKHOUSE_TIMEOUT,
        Remedy.AGAIN,
        "what was asked for may go on in the background; the next attempt looks first",
        clickhouse=(159, 209),
        phrases=(r"Where: ClickHouse .{1,500}Read timed out\. \(read timeout=",),
    ),
    Rule(Cause.CLICKHOUSE_STOPPING, Remedy.WAIT, "the server was stopping or gave the work up", clickhouse=(236,)),
    Rule(
        Cause.CLICKHOUSE_MEMORY,
        Remedy.SMALLER,
        "the batch or the merge was too large for the server's memory limit",
        clickhouse=(241,),
    ),
    Rule(
        Cause.TOO_MANY_PARTS,
        Remedy.WAIT,
        "merges must catch up; look at system.parts and system.merges",
        clickhouse=(252,),
    ),
    Rule(
        Cause.TOO_MANY_MUTATIONS,
        Remedy.WAIT,
        "mutations wait on the table; look at system.mutations",
        clickhouse=(692,),
        phrases=(r"\b\d+ mutations wait on \w+; none was added",),
    ),
    Rule(
        Cause.NOT_SUPPORTED,
        Remedy.BY_HAND,
        "the table has a projection or an engine that forbids the statement",
        clickhouse=(344,),
    ),
    Rule(
        Cause.QUERY_KILLED,
        Remedy.AGAIN,
        "somebody killed the query, or the server did as it stopped; ask who watches the cluster",
        clickhouse=(394,),
    ),
    Rule(
        Cause.FAILS_AGAIN,
        Remedy.BY_HAND,
        "a mutation can't succeed: mend what its reason names, or kill it",
        clickhouse=(341,),
        phrases=(r"Exception happened during execution of mutation",),
        narrow=True,
    ),
    Rule(
        Cause.UNFINISHED_REPLICA,
        Remedy.WAIT,
        "it was accepted, and an inactive or read-only replica has not done it; bring the replica back",
        clickhouse=(341, 242),
    ),
    Rule(
        Cause.IMAGE_PULL,
        Remedy.BY_HAND,
        "the image can't be pulled; look at its name, its tag and the pull secret",
        phrases=(r"\b(?:ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull)\b(?: \(|$|;)",),
    ),
    Rule(
        Cause.OUT_OF_MEMORY,
        Remedy.SMALLER,
        "what ran outgrew its memory limit; fewer days, or a higher limit in the CronJob",
        phrases=(r"\bcontainer OOMKilled\b", r"^A read outgrew its memory\b"),
    ),
    Rule(
        Cause.EVICTED,
        Remedy.WAIT,
        "the node was short of something, or was taken down, and threw the pod out",
        phrases=(r"\bpod Evicted(?:: |$|;)", r"\bPod was terminated in response to imminent node shutdown"),
    ),
    Rule(
        Cause.UNSCHEDULABLE,
        Remedy.WAIT,
        "no node has room for the pod, or a quota is used up",
        phrases=(r"\bUnschedulable \(", r" is forbidden: exceeded quota: "),
    ),
    Rule(
        Cause.SUSPENDED,
        Remedy.BY_HAND,
        "nobody resumed the Job; take `suspend` out of the CronJob's jobTemplate, or ask the queue that starts such Jobs",
        phrases=(r"\bJobSuspended \(Job suspended\)",),
    ),
    Rule(
        Cause.HEARTBEAT_TIMEOUT,
        Remedy.SMALLER,
        "no row moved for that long: the worker died, hung or was overloaded",
        phrases=(
            r"\bactivity Heartbeat timeout\b",
            r"\bTIMEOUT_TYPE_HEARTBEAT\b",
            r"\bnothing moved for \S+ s; the next try",
        ),
    ),
    Rule(
        Cause.START_TO_CLOSE_TIMEOUT,
        Remedy.SMALLER,
        "the activity moved rows and was not done in its time",
        phrases=(r"\bactivity StartToClose timeout\b", r"\bTIMEOUT_TYPE_START_TO_CLOSE\b"),
    ),
    Rule(
        Cause.NO_WORKER,
        Remedy.WAIT,
        "no worker polled the queue in time; look whether workers run, and at which queue",
        phrases=(r"\bactivity ScheduleToStart timeout\b", r"\bTIMEOUT_TYPE_SCHEDULE_TO_START\b"),
    ),
    Rule(
        Cause.DEADLINE,
        Remedy.SMALLER,
        "it was still at work, or had not begun, at its deadline",
        phrases=(
            r"\bDeadlineExceeded \(Job was\b",
            r"\bpod DeadlineExceeded: ",
            r"\bTIMEOUT_TYPE_SCHEDULE_TO_CLOSE\b",
            r"\bits execution or run time-out was over\b",
            r"\bThe window was not over at its deadline\b",
            r"\bThe delete of \w+ is not done\b.*\. Why: not done within \d+ s\.",
        ),
    ),
    Rule(
        Cause.GONE,
        Remedy.AGAIN,
        "what became of it is not known, and a rerun is safe; ask who deletes Jobs or shortens their time to live",
        phrases=(
            r"\bJob \S+ gone: ",
            r"\bthe Job is not there: deleted, or its TTL was over",
            r"\bTemporal no longer has it\b",
        ),
    ),
    Rule(
        Cause.CANCELLED,
        Remedy.BY_HAND,
        "a person or another program ended it; ask who, then rerun",
        phrases=(
            r"\bworkflow \S+ (?:CANCELED|TERMINATED): ",
            r"\(type (?:canceled|terminated)\)",
            r"\bEnded by SIGTERM: the executions",
        ),
    ),
    Rule(
        Cause.CONNECTION_LOST,
        Remedy.AGAIN,
        "the connection broke in the middle; look at the network and whether the server crashed",
        sqlstates=("08",),
        clickhouse=(3, 210),
        phrases=(
            r"\bserver closed the connection unexpectedly",
            r"(?i:\bconnection reset by peer)",
            r"\bthe connection is (?:lost|closed)\b",
        ),
    ),
    Rule(
        Cause.UNREACHABLE,
        Remedy.WAIT,
        "nobody answered at the address",
        phrases=(
            r"(?i:\bconnection refused\b)",
            r"(?i:\bno route to host\b)",
            r"\b(?:could not translate|failed to resolve) host\b",
            r"\bName or service not known\b",
            r"\bdial tcp\b.*(?:no such host|i/o timeout)",
            r"\b(?:connection|failed:) timeout expired\b",
            r"\b(?:ClickHouse|Temporal) is away\. Where: ",
        ),
        kinds=(Kind.UNREACHABLE,),
    ),
    Rule(
        Cause.MISSING,
        Remedy.BY_HAND,
        "make what is missing, or correct its name in the configuration",
        sqlstates=("3D000",),
        clickhouse=(81,),
        phrases=(r'FATAL: +database "[^"]+" does not exist', r"\bCreateContainer(?:Config)?Error \("),
        kinds=(Kind.MISSING,),
    ),
    Rule(
        Cause.FAILS_AGAIN,
        Remedy.BY_HAND,
        "read the message: the same call fails again",
        sqlstates=("22", "42", "25006"),
        clickhouse=(36, 62),
        kinds=(Kind.STOP,),
    ),
    Rule(
        Cause.PASSING,
        Remedy.AGAIN,
        "read the message; a rerun may pass",
        phrases=(r"\bthe worker was told to end; another one resumes",),
        kinds=(Kind.RETRY,),
    ),
)
_UNKNOWN = Rule(Cause.UNKNOWN, Remedy.ONCE, "read what was seen; add a rule to domain/failures.py")


@dataclass(frozen=True)
class Diagnosis:
    cause: Cause
    remedy: Remedy
    evidence: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.remedy}. {self.next_step}. Seen: {self.evidence}"


def diagnose(texts: Iterable[str]) -> Diagnosis:
    """The first rule that fits any of these texts; UNKNOWN with the first of them if none does."""
    given = [text for text in texts if text.strip()]
    found = ((rule, rule.found_in(text)) for rule in RULES for text in given)
    rule, evidence = next(((r, e) for r, e in found if e), (_UNKNOWN, None))
    return _diagnosis(rule, evidence or around((given or ["nothing was said"])[0], 0))


def diagnose_error(error: PipelineError) -> Diagnosis:
    """By its code, else by what it says, else by its kind, where nobody knows a better next step than the error itself."""
    ours = next((r for r in _OURS if r.found_in(error.what)), None)
    if ours:
        return _diagnosis(ours, around(str(error), 0))
    if error.kind is not Kind.REFUSED:
        rule = next((r for r in RULES if r.is_of(error)), None)
        if rule:
            return _diagnosis(rule, around(str(error), 0))
        said = diagnose([str(error)])
        if said.cause is not Cause.UNKNOWN:
            return said
    rule = next((r for r in RULES if error.kind in r.kinds), _UNKNOWN)
    return Diagnosis(rule.cause, rule.remedy, around(str(error), 0), error.next_step)


def _diagnosis(rule: Rule, evidence: str) -> Diagnosis:
    return Diagnosis(rule.cause, rule.remedy, evidence, rule.next_step)
