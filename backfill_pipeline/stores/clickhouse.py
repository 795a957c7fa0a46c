"""A ClickHouse cluster as shards of replicas: clients, clock. Drivers' errors leave as PipelineError."""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from backfill_pipeline.config import ClickHouseAddress, Replica
from backfill_pipeline.domain.errors import Kind, PipelineError

# ClickHouse's error numbers (ErrorCodes.cpp) -> what a caller may do, with the reason.
CODES: Mapping[int, tuple[Kind, str]] = {
    3: (Kind.RETRY, "unexpected end of data: the connection broke"),
    16: (Kind.MISSING, "no such column in the table"),
    32: (Kind.RETRY, "read after the end: the connection broke"),
    36: (Kind.STOP, "bad arguments, also a mutation that Replicated refuses"),
    47: (Kind.MISSING, "unknown identifier: a column is missing"),
    60: (Kind.MISSING, "unknown table"),
    62: (Kind.STOP, "syntax error"),
    81: (Kind.MISSING, "unknown database"),
    95: (Kind.RETRY, "the server's socket could not be read"),
    96: (Kind.RETRY, "the server's socket could not be written"),
    115: (Kind.STOP, "unknown setting: the server is older or newer than what it was sent"),
    159: (Kind.RETRY, "timeout exceeded; the statement may go on in the background"),
    164: (Kind.STOP, "the user may only read"),
    173: (Kind.RETRY, "memory could not be allocated: a smaller batch may pass"),
    192: (Kind.STOP, "unknown user"),
    193: (Kind.STOP, "wrong password"),
    194: (Kind.STOP, "a password is required"),
    195: (Kind.STOP, "the user may not come from this address"),
    198: (Kind.RETRY, "the server does not find another one's name"),
    201: (Kind.RETRY, "the user's quota is used up for now"),
    202: (Kind.RETRY, "too many simultaneous queries"),
    203: (Kind.RETRY, "no free connection"),
    209: (Kind.RETRY, "socket timeout"),
    210: (Kind.RETRY, "network error"),
    218: (Kind.MISSING, "the table is dropped"),
    225: (Kind.RETRY, "no Keeper"),
    236: (Kind.RETRY, "aborted, the server may be stopping"),
    241: (Kind.RETRY, "memory limit exceeded: a smaller batch may pass"),
    242: (Kind.RETRY, "table is read-only, its Keeper session is lost"),
    243: (Kind.RETRY, "not enough free disk"),
    244: (Kind.RETRY, "Keeper did not say whether the insert was done"),
    252: (Kind.RETRY, "too many parts: merges must catch up"),
    254: (Kind.RETRY, "no active replica"),
    279: (Kind.RETRY, "the server reaches no replica of a shard"),
    285: (Kind.RETRY, "fewer replicas live than the quorum asks for"),
    286: (Kind.RETRY, "the quorum of an earlier insert is not there yet"),
    289: (Kind.RETRY, "the replica lacks what the quorum has"),
    319: (Kind.RETRY, "unknown whether the insert was done: sent again, it doubles nothing"),
    341: (Kind.RETRY, "unfinished: accepted, an inactive replica has not done it"),
    344: (Kind.STOP, "not supported, such as a lightweight delete on a table with a projection"),
    364: (Kind.RETRY, "too many requests"),
    369: (Kind.RETRY, "all replicas are behind"),
    384: (Kind.RETRY, "a part is locked for a moment"),
    394: (Kind.STOP, "query was cancelled"),
    416: (Kind.RETRY, "the replica was started anew meanwhile"),
    439: (Kind.RETRY, "no free thread"),
    473: (Kind.RETRY, "another query held the table's lock"),
    497: (Kind.STOP, "not enough privileges"),
    516: (Kind.STOP, "authentication failed"),
    517: (Kind.RETRY, "the replica has not taken an earlier ALTER yet"),
    519: (Kind.RETRY, "no shard can be reached"),
    574: (Kind.RETRY, "too much waits to be sent to other shards"),
    667: (Kind.RETRY, "the table is not there yet: the server starts"),
    692: (Kind.RETRY, "too many mutations wait on the table"),
    700: (Kind.RETRY, "too many sessions of the user"),
    733: (Kind.RETRY, "the table is being restarted"),
    738: (Kind.RETRY, "a part is locked"),
    745: (Kind.RETRY, "the server is overloaded"),
    749: (Kind.RETRY, "the server ended the connection after its share of queries"),
    762: (Kind.RETRY, "too many HTTP connections"),
    999: (Kind.RETRY, "Keeper is away or its session is over"),
    1019: (Kind.RETRY, "no slot for the query in time"),
}

_CODE = re.compile(r"\b(?:ClickHouse exception, code|Code): ?(\d+)(?=[.,]|$)")  # not an `Error code: 502` of some proxy
_NEXT = {
    Kind.RETRY: "run it again; it continues or does nothing twice",
    Kind.MISSING: "compare the server's schema with the configuration",
    Kind.UNREACHABLE: "check that ClickHouse runs there and that the address is right, then rerun",
}


def code_of(error: BaseException) -> int | None:
    found = _CODE.search(str(error))
    return int(found[1]) if found else None


def translate(error: Exception, where: str) -> PipelineError:
    """A driver's error as one of the named kinds; an unlisted code is UNKNOWN, never taken for harmless."""
    code = code_of(error)
    if code is None and not isinstance(error, ClickHouseError):
        kind, reason = Kind.UNREACHABLE, f"no answer ({type(error).__name__})"
    elif code is None:
        kind, reason = Kind.UNREACHABLE, "the server did not answer as ClickHouse does"
    else:
        kind, reason = CODES.get(code, (Kind.UNKNOWN, "not in our table of codes"))
    return PipelineError(
        "ClickHouse failed" if code else "ClickHouse is away",
        where=f"ClickHouse {where}",
        why=f"{reason}: {' '.join(str(error).split())[:500]}",
        next_step=_NEXT.get(kind, "read the message; rerunning changes nothing before its cause is gone"),
        kind=kind,
        code=str(code) if code else None,
    )


class ShardStore:
    """One shard, reached through one of its replicas; every thread has clients of its own."""

    def __init__(self, number: int, replicas: Sequence[Replica], address: ClickHouseAddress) -> None:
        self.number = number
        self.replicas = tuple(replicas)
        self._address = address
        self._local = threading.local()

    def __str__(self) -> str:
        return f"shard {self.number} ({', '.join(str(r) for r in self.replicas)})"

    def client(self) -> Client:
        """A client to the first replica that answers, kept for the calling thread.

        Raises:
            PipelineError: UNREACHABLE, no replica answers.
        """
        if getattr(self._local, "client", None) is None:
            self._local.client = self._first_that_answers()
        client: Client = self._local.client
        return client

    def replica_client(self, replica: Replica) -> Client:
        """A client to one replica, kept for the calling thread: making one asks the server for all its settings.

        Raises:
            PipelineError: UNREACHABLE, it does not answer.
        """
        kept: dict[str, Client] = self._local.__dict__.setdefault("replicas", {})
        if str(replica) not in kept:
            kept[str(replica)] = self._connect(replica)
        return kept[str(replica)]

    def _connect(self, replica: Replica) -> Client:
        with self.translated(replica):
            return clickhouse_connect.get_client(
                host=replica.host,
                port=replica.port,
                username=self._address.user,
                password=self._address.password() or "",
                database=self._address.database,
                secure=self._address.secure,
                connect_timeout=self._address.connect_timeout_seconds,
                send_receive_timeout=self._address.query_timeout_seconds,
                autogenerate_session_id=False,  # a session serialises its queries
            )

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        with self.translated():
            rows = self.client().query(sql, parameters=dict(parameters or {})).result_rows
        return [tuple(r) for r in rows]

    def scalar(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        return self.query(sql, parameters)[0][0]

    def now(self) -> datetime:
        """Its clock, aware UTC, in microseconds."""
        micros = self.scalar("SELECT toUnixTimestamp64Micro(now64(6))")
        seconds, rest = divmod(int(micros), 10**6)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)

    def known(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the settings that this server knows, as an unknown one is refused; its client asked when it was made."""
        known = self.client().server_settings
        return {name: value for name, value in wanted.items() if name in known}

    @contextmanager
    def translated(self, replica: Replica | None = None) -> Iterator[None]:
        """Errors of the driver leave as PipelineError; a broken client is thrown away."""
        try:
            yield
        except PipelineError:
            raise
        except Exception as error:
            found = translate(error, str(replica or self))
            if found.kind is Kind.UNREACHABLE:
                self.forget()
            raise found from error

    def forget(self) -> None:
        """The calling thread's clients are made anew when they are asked for again."""
        self._local.__dict__.clear()

    def _first_that_answers(self) -> Client:
        failures = []
        for replica in self.replicas:
            try:
                return self.replica_client(replica)
            except PipelineError as error:
                failures.append(error)
        raise failures[0]


class ClickHouse:
    """All shards of a cluster."""

    def __init__(self, address: ClickHouseAddress) -> None:
        self.address = address
        self.shards = tuple(ShardStore(i, s.replicas, address) for i, s in enumerate(address.shards, start=1))

    def now(self) -> datetime:
        """The first shard's clock."""
        return self.shards[0].now()

    def close(self) -> None:
        for shard in self.shards:
            shard.forget()
