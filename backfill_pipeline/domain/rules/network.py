"""A system that is away, and a connection that broke: drivers word both in the same way."""

from backfill_pipeline.domain.causes import Cause, Remedy, Rule
from backfill_pipeline.domain.errors import Kind

# As glibc, musl and macOS word ETIMEDOUT, ENETUNREACH and EHOSTUNREACH; Go begins them small.
_AWAY = r"(?:[Cc]onnection timed out|[Oo]peration timed out|[Nn]etwork (?:is )?unreachable|[Hh]ost is unreachable)"
NETWORK: tuple[Rule, ...] = (
    Rule(
        Cause.CONNECTION_LOST,
        Remedy.AGAIN,
        "the connection broke in the middle; look at the network and whether the server crashed",
        sqlstates=("08",),
        clickhouse=(3, 32, 95, 96, 210, 749),
        phrases=(
            r"\bserver closed the connection unexpectedly",
            r"(?i:\bconnection reset by peer)",
            r"\bthe connection is (?:lost|closed)\b",
            r"\bcould not (?:receive data from|send data to) server: ",
            r"\bserver conn crashed\?",
            r"\bSSL SYSCALL error: ",
            r"\bSSL connection has been closed unexpectedly",
            rf"\b(?:read|write) (?:tcp|unix) \S+: (?:(?:read|write): )?(?:i/o timeout|broken pipe|{_AWAY})",
            r"(?<!syntax error): unexpected EOF(?=$|; |\. | \()",
            r"\bdriver: bad connection\b",
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
            rf"\bdial tcp\b.{{0,300}}?(?:no such host|i/o timeout|{_AWAY})",
            r"\b(?:connection|failed:) timeout expired\b",
            rf"\bport \d+ failed: {_AWAY}",
            r"\b(?:ClickHouse|Temporal) is away\. Where: ",
        ),
        kinds=(Kind.UNREACHABLE,),
    ),
    Rule(
        Cause.NO_ANSWER,
        Remedy.AGAIN,
        "a worker waited for as long as it may; look at the system that it names, and at its own pool of connections",
        phrases=(r"(?:^|: )context deadline exceeded\b", r"\bclickhouse: acquire conn timeout\b"),
    ),
)
