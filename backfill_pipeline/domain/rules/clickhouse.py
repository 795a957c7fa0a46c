"""ClickHouse: its error numbers, and what our own waits for it say."""

from backfill_pipeline.domain.causes import Cause, Remedy, Rule

CLICKHOUSE: tuple[Rule, ...] = (
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
        "the server has no query left; lower max_runs of the cluster or raise the server's limit",
        clickhouse=(202,),
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
        clickhouse=(16, 47, 60),
    ),
    Rule(
        Cause.NOT_PERMITTED,
        Remedy.BY_HAND,
        "correct the configured user, its password or its rights",
        clickhouse=(193, 497, 516),
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
)
