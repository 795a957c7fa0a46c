"""What PostgreSQL says of its health, from a primary with a streaming replica, to accounts with few rights."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.domain.health import Reading, Signal, Signals
from backfill_pipeline.stack.postgres import binary
from backfill_pipeline.stores.health import OF_POSTGRES, postgres_health
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline_tests.stores.waiting import waiting_session
from backfill_pipeline_tests.worker import servers

ONE_CHAT = (
    "INSERT INTO app.chats (customer_id, profile_id, chat_id, conversation_id, started_at, updated_at) "
    "VALUES ('acme', 'default', 'c', 'c', now(), now()) ON CONFLICT DO NOTHING"
)
SAME_ROW = "UPDATE app.chats SET customer_id = customer_id"


@dataclass(frozen=True)
class Pair:
    """A primary, and a replica that streams from it."""

    primary: PostgresAddress
    replica: PostgresAddress


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    with servers.postgres_server(folder / "primary") as server:
        primary = servers.new_source(server, "source")
        with Postgres(primary).connection() as connection:
            connection.execute("CREATE ROLE reader LOGIN")
            connection.execute(ONE_CHAT.encode())
        _copied(server, folder / "replica")
        with servers.postgres_server(folder / "replica") as copy:
            replica = copy.model_copy(update={"database": "source"})
            servers.wait_until(lambda: _streams(primary), "a replica that streams")
            yield Pair(primary, replica)


def _copied(server: PostgresAddress, folder: Path) -> None:
    """A base backup that begins to stream when it is started; the server's account then takes the folder over."""
    command = [binary("pg_basebackup"), "-D", folder, "-R", "-c", "fast", "-h", server.host, "-p", str(server.port)]
    subprocess.run([*command, "-U", "postgres"], check=True, timeout=60)
    owner = (folder.parent / "primary" / "PG_VERSION").stat()
    subprocess.run(["chown", "-R", f"{owner.st_uid}:{owner.st_gid}", folder], check=True, timeout=60)


def _streams(primary: PostgresAddress) -> bool:
    with Postgres(primary).connection() as connection:
        return connection.execute("SELECT state FROM pg_stat_replication").fetchall() == [("streaming",)]


def as_reader(address: PostgresAddress) -> PostgresAddress:
    return address.model_copy(update={"user": "reader"})


def of(signal: Signal, signals: Signals) -> Reading:
    (reading,) = (r for r in signals if r.signal is signal)
    return reading


def value(signal: Signal, address: PostgresAddress) -> float | None:
    return of(signal, postgres_health(address)).value


@contextmanager
def replay_paused(pair: Pair) -> Iterator[None]:
    with Postgres(pair.replica).connection() as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        try:
            yield
        finally:
            connection.execute("SELECT pg_wal_replay_resume()")


@pytest.mark.parametrize("statement", ["LOCK TABLE app.chats IN ACCESS EXCLUSIVE MODE", SAME_ROW])
def test_a_queue_behind_a_lock_is_seen_by_an_account_that_may_see_nobodys_statements(
    pair: Pair, statement: str
) -> None:
    assert value(Signal.WAITING_LOCKS, as_reader(pair.primary)) == 0
    with waiting_session(Postgres(pair.primary), statement, statement):
        assert value(Signal.WAITING_LOCKS, as_reader(pair.primary)) == 1
        assert value(Signal.WAITING_LOCKS, pair.primary) == 1
        elsewhere = pair.primary.model_copy(update={"database": "postgres"})
        assert value(Signal.WAITING_LOCKS, elsewhere) == 0
    assert value(Signal.WAITING_LOCKS, pair.primary) == 0


def test_connections_that_are_used_up_are_seen_before_they_are_gone(pair: Pair) -> None:
    before = value(Signal.CONNECTIONS, as_reader(pair.primary))
    assert before
    with ExitStack() as open_ones:
        for _ in range(10):
            open_ones.enter_context(Postgres(pair.primary).connection())
        after = value(Signal.CONNECTIONS, as_reader(pair.primary))
    assert after == pytest.approx(before + 10 / 100, abs=0.011)


def test_a_server_without_a_free_connection_is_unknown_and_not_idle(pair: Pair) -> None:
    with ExitStack() as open_ones:
        with suppress(psycopg.OperationalError):
            while True:
                open_ones.enter_context(psycopg.connect(Postgres(pair.primary).conninfo()))
        signals = postgres_health(as_reader(pair.primary))
    assert [r.value for r in signals] == [None] * len(OF_POSTGRES)
    assert "too many connections" in signals[0].why


def test_an_idle_replica_that_has_all_is_not_taken_for_one_that_is_hours_behind(pair: Pair) -> None:
    assert value(Signal.REPLICA_LAG, pair.replica) == 0
    assert value(Signal.REPLICA_LAG, pair.primary) == 0


def test_a_replica_that_falls_behind_is_seen_from_both_ends(pair: Pair) -> None:
    with replay_paused(pair):
        with Postgres(pair.primary).connection() as connection:
            connection.execute(SAME_ROW.encode())
        for end in (as_reader(pair.replica), pair.primary):
            servers.wait_until(lambda of=end: (value(Signal.REPLICA_LAG, of) or 0) > 1, f"lag seen from {end}", 20)
    for end in (pair.replica, pair.primary):
        servers.wait_until(lambda of=end: value(Signal.REPLICA_LAG, of) == 0, f"no lag seen from {end}", 20)


def test_a_replica_whose_state_the_account_may_not_see_is_unknown_and_not_up_to_date(pair: Pair) -> None:
    lag = of(Signal.REPLICA_LAG, postgres_health(as_reader(pair.primary)))
    assert lag.value is None
    assert "pg_monitor" in lag.why


def test_a_primary_without_replicas_is_not_kept_waiting_for_one(source: Postgres) -> None:
    signals = postgres_health(source.address)
    assert [r.signal for r in signals] == list(OF_POSTGRES)
    assert of(Signal.REPLICA_LAG, signals).value == 0


def test_what_an_account_may_not_read_is_unknown_with_its_reason_and_the_rest_stays_known(pair: Pair) -> None:
    with Postgres(pair.primary).connection() as connection:
        connection.execute("REVOKE SELECT ON pg_locks FROM PUBLIC")
        try:
            signals = postgres_health(as_reader(pair.primary))
        finally:
            connection.execute("GRANT SELECT ON pg_locks TO PUBLIC")
    assert of(Signal.WAITING_LOCKS, signals).value is None
    assert "permission denied for view pg_locks" in of(Signal.WAITING_LOCKS, signals).why
    assert of(Signal.CONNECTIONS, signals).value


def test_a_server_that_nobody_reaches_is_unknown_and_no_crash() -> None:
    away = PostgresAddress(host="127.0.0.1", port=servers.free_port(), database="source")
    signals = postgres_health(away)
    assert [r.value for r in signals] == [None] * len(OF_POSTGRES)
    assert all("nobody listens" in r.why and str(away) in r.server for r in signals)
