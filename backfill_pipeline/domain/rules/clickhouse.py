"""ClickHouse: its error numbers, and what our own waits for it say."""

from backfill_pipeline.domain.causes import Cause, Remedy, Rule

# ClickHouse hands on what its Poco library throws under one number, be it a network or a file that may not be read.
_POCO = (
    r"\b[Cc]ode: 1000[.,] .{0,80}?"
    r"(?:Net Exception|Timeout|Connection (?:refused|reset by peer|aborted by peer)|Host not found|Broken pipe"
    r"|No message received)"
)
# What quotes another's number stands before it: all tries of 279 failed for 209 or 210, and 319 may follow upon a 999.
CLICKHOUSE: tuple[Rule, ...] = (
    Rule(
        Cause.UNREACHABLE,
        Remedy.WAIT,
        "the server does not reach another shard or replica; look at system.clusters and at its network",
        clickhouse=(198, 279, 519),
    ),
    Rule(
        Cause.CONNECTION_LOST,
        Remedy.AGAIN,
        "Keeper's answer to an insert was lost; the same rows sent again double nothing",
        clickhouse=(244, 319),
    ),
    Rule(
        Cause.CONNECTION_LOST,
        Remedy.AGAIN,
        "the server's own connection broke; look at the network between servers, Keeper and storage",
        clickhouse=(1000,),
        phrases=(_POCO,),
        narrow=True,
    ),
    Rule(
        Cause.QUERY_KILLED,
        Remedy.AGAIN,
        "somebody killed the mutation; ask who watches the server",
        clickhouse=(341,),
        phrases=(
            r"\bMutation \S+ was killed",
            r"\. Why: it (?:was killed|is listed no longer and rows are left: killed\?)\.",
        ),
        narrow=True,
    ),
    Rule(
        Cause.TOO_MANY_CONNECTIONS,
        Remedy.WAIT,
        "the server has no query or connection left; lower max_runs of the cluster or raise the server's limit",
        clickhouse=(202, 203, 364, 700, 762, 1019),
    ),
    Rule(
        Cause.NO_RESOURCE,
        Remedy.WAIT,
        "give the server disk, or wait until others have given theirs back",
        clickhouse=(243,),
    ),
    Rule(
        Cause.SCHEMA_DRIFT,
        Remedy.BY_HAND,
        "a table or column that the transfer reads or writes is gone; compare both schemas",
        clickhouse=(16, 47, 60, 218),
    ),
    Rule(
        Cause.NOT_PERMITTED,
        Remedy.BY_HAND,
        "correct the configured user, its password or its rights",
        clickhouse=(164, 192, 193, 194, 195, 497, 516),
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
        clickhouse=(173, 241),
    ),
    Rule(
        Cause.KEEPER,
        Remedy.WAIT,
        "Keeper is away or its session is over, and replicated tables take nothing; look at system.zookeeper_connection",
        clickhouse=(225, 999),
    ),
    Rule(
        Cause.OVERLOADED,
        Remedy.WAIT,
        "the server has no processor time or thread left, or the user's quota is used up; lower max_runs of the cluster",
        clickhouse=(201, 439, 574, 745),
    ),
    Rule(
        Cause.LOCK_TIMEOUT,
        Remedy.AGAIN,
        "another statement held the table or part for too long; look at system.processes and system.mutations",
        clickhouse=(384, 473, 738),
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
        "a replica is inactive, read-only or behind, and what it was asked for may be done later; bring the replica back",
        clickhouse=(242, 254, 285, 286, 289, 341, 369, 416, 517, 667, 733),
    ),
)
