"""PostgreSQL: its SQLSTATEs, and its words where no code comes with them."""

from backfill_pipeline.domain.causes import Cause, Remedy, Rule

_POOLER = "08P01"  # PgBouncer says all of its own refusals with this one code
POSTGRESQL: tuple[Rule, ...] = (
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
        "somebody cancelled the statement; ask who watches the server",
        sqlstates=("57014",),
        phrases=(r"canceling statement due to user request",),
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
            r"the database system is (?:starting up|shutting down|in recovery mode|not (?:yet )?accepting connections)",
            r'FATAL: +database "[^"]+" is not currently accepting connections',
        ),
    ),
    Rule(
        Cause.TOO_MANY_CONNECTIONS,
        Remedy.WAIT,
        "the server has no connection left; lower max_runs of the cluster or raise the server's limit",
        sqlstates=("53300",),
        phrases=(
            r"sorry, too many clients already",
            r"remaining connection slots are reserved for",
            r"\btoo many connections for (?:role|database) ",
        ),
    ),
    Rule(
        Cause.TOO_MANY_CONNECTIONS,
        Remedy.WAIT,
        "the pooler has no connection left; lower max_runs of the cluster or raise the pooler's limits",
        sqlstates=(_POOLER,),
        phrases=(r"\bno more connections allowed\b", r"(?:^|: +)query_wait_timeout\b"),
        narrow=True,
    ),
    Rule(
        Cause.NO_RESOURCE,
        Remedy.WAIT,
        "give the server disk, memory or temporary space, or wait until others have given theirs back",
        sqlstates=("53",),
    ),
    Rule(
        Cause.SCHEMA_DRIFT,
        Remedy.BY_HAND,
        "a table or column that the transfer reads or writes is gone; compare both schemas",
        sqlstates=("42703", "42P01", "3F000"),
        phrases=(r'\b(?:column|relation|schema) "?[^" ]{1,130}"? does not exist',),
    ),
    Rule(
        Cause.NOT_PERMITTED,
        Remedy.BY_HAND,
        "correct the configured user, its password or its rights",
        sqlstates=("28", "42501"),
    ),
    Rule(
        Cause.NOT_PERMITTED,
        Remedy.BY_HAND,
        "correct the configured user, its password or its rights",
        sqlstates=(_POOLER,),
        phrases=(
            r"\bpassword authentication failed for user",
            r"\bno password supplied\b",
            r"\bpg_hba\.conf (?:entry|rejects connection) for\b",
            r'FATAL: +role "[^"]+" does not exist',
        ),
        narrow=True,
    ),
    Rule(
        Cause.UNREACHABLE,
        Remedy.WAIT,
        "the pooler answers, and PostgreSQL behind it does not",
        sqlstates=(_POOLER,),
        phrases=(r"\bserver login has been failing, .{1,300} \(server_login_retry\)",),
        narrow=True,
    ),
)
