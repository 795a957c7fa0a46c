"""What PostgreSQL and each replica of ClickHouse say of their own health: one short query per server.

The SQL lies in sql/health, a file per signal. An account that may not read something makes that signal unknown and no
other; nothing here raises because a server is unwell.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import resources
from typing import Any

from backfill_pipeline.config import ClickHouseAddress, PostgresAddress, Replica
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.health import Reading, Signal, Signals
from backfill_pipeline.stores.clickhouse import ClickHouse, ShardStore
from backfill_pipeline.stores.postgres import Postgres

OF_POSTGRES = (Signal.WAITING_LOCKS, Signal.REPLICA_LAG, Signal.CONNECTIONS)
OF_CLICKHOUSE = (Signal.PARTS, Signal.MUTATIONS, Signal.MEMORY, Signal.INACTIVE_REPLICAS)
QUERY_SECONDS = 10  # a server that needs longer to say how it is, is not well
_AWAY = (Kind.UNREACHABLE, Kind.RETRY)  # the server as a whole; other kinds are about what was asked
_UNTOLD = {
    Signal.REPLICA_LAG: "the account may not see it (pg_monitor may), or nothing was replayed since the start",
    Signal.MEMORY: "the server names no limit",
}
Rows = Iterable[tuple[str, float | None]]
Send = Callable[[str], Rows]


def postgres_health(address: PostgresAddress) -> Signals:
    """Locks, lag and connections; all unknown where nobody answers."""
    postgres = Postgres(
        address.model_copy(
            update={
                "statement_timeout_seconds": min(QUERY_SECONDS, address.statement_timeout_seconds),
                "connect_timeout_seconds": min(QUERY_SECONDS, address.connect_timeout_seconds),
            }
        )
    )

    def send(sql: str) -> Rows:
        with postgres.connection() as connection:
            return [(signal, value) for signal, value in connection.execute(sql.encode())]

    server = f"PostgreSQL {address}"
    try:
        return tuple(_ask(OF_POSTGRES, server, send))
    except PipelineError as error:
        return tuple(_unknown(OF_POSTGRES, server, error))


def clickhouse_health(address: ClickHouseAddress, tables: Sequence[str]) -> Signals:
    """Of every replica its parts and mutations (of these tables) and its memory, of every shard what is not active."""
    hasty = {"query_timeout_seconds": QUERY_SECONDS, "connect_timeout_seconds": QUERY_SECONDS}
    kept = {name: min(most, getattr(address, name)) for name, most in hasty.items()}
    clickhouse = ClickHouse(address.model_copy(update=kept))
    try:
        return tuple(r for shard in clickhouse.shards for r in _of_shard(shard, address.database, tables))
    finally:
        clickhouse.close()


def _of_shard(shard: ShardStore, database: str, tables: Sequence[str]) -> Iterator[Reading]:
    at = {"database": database, "tables": list(tables)}
    known: list[Reading] = []
    away: list[PipelineError] = []
    for replica in shard.replicas:
        try:
            known += _ask(OF_CLICKHOUSE, f"ClickHouse {replica}", _sender(shard, replica, at))
        except PipelineError as error:
            away.append(error)
    if not known:
        yield from _unknown(OF_CLICKHOUSE, f"ClickHouse {shard}", away[0])
        return
    yield from (r for r in known if r.signal is not Signal.INACTIVE_REPLICAS)
    yield _inactive(shard, [r for r in known if r.signal is Signal.INACTIVE_REPLICAS], away)


def _sender(shard: ShardStore, replica: Replica, at: dict[str, Any]) -> Send:
    def send(sql: str) -> Rows:
        with shard.translated(replica):
            client = shard.replica_client(replica)
            answer = client.query(sql, parameters=at, settings={"max_execution_time": QUERY_SECONDS})
        return [(signal, value) for signal, value in answer.result_rows]

    return send


def _inactive(shard: ShardStore, seen: Sequence[Reading], away: Sequence[PipelineError]) -> Reading:
    """What does not answer us is not active either, whatever its neighbours say of it."""
    counts = [r.value for r in seen if r.value is not None]
    why = "; ".join(map(_said, away)) or next((r.why for r in seen if r.why), "")
    value = max(*counts, float(len(away))) if counts else float(len(away)) if away else None
    return Reading(Signal.INACTIVE_REPLICAS, f"ClickHouse {shard}", value, why)


def _ask(signals: Sequence[Signal], server: str, send: Send) -> list[Reading]:
    """All at once; one by one where the server refuses that, so that what is forbidden leaves the others known.

    Raises:
        PipelineError: UNREACHABLE or RETRY: nothing can be had of this server now.
    """
    try:
        found = dict(send("\nUNION ALL\n".join(map(_statement, signals))))
    except PipelineError as error:
        if error.kind in _AWAY:
            raise
        if len(signals) == 1:
            return _unknown(signals, server, error)
        return [r for s in signals for r in _ask([s], server, send)]
    return [_reading(s, server, found.get(s)) for s in signals]


def _reading(signal: Signal, server: str, value: float | None) -> Reading:
    why = _UNTOLD.get(signal, "the server does not say") if value is None else ""
    return Reading(signal, server, value, why)


def _unknown(signals: Iterable[Signal], server: str, error: PipelineError) -> list[Reading]:
    return [Reading(s, server, None, _said(error)) for s in signals]


def _said(error: PipelineError) -> str:
    return f"{error.what}: {error.why}"


def _statement(signal: Signal) -> str:
    folder = resources.files("backfill_pipeline.stores.sql.health")
    return folder.joinpath(f"{signal}.sql").read_text(encoding="utf-8")
