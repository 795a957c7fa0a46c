"""A system that is away, and a connection that broke: drivers word both in the same way."""

from backfill_pipeline.domain.causes import Cause, Remedy, Rule
from backfill_pipeline.domain.errors import Kind

NETWORK: tuple[Rule, ...] = (
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
)
