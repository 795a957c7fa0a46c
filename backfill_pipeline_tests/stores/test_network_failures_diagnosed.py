"""A PostgreSQL that lets nobody in for a while: by a pooler, by its administrators, or as nothing leads to it.

The pooler is a stand-in for PgBouncer: it takes no login, and answers each with an error in PostgreSQL's own protocol.
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.domain.causes import Cause
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline_tests.domain.failure_texts import assert_diagnosed
from backfill_pipeline_tests.stores.test_postgres import Run, both_drivers, by_psycopg, failure
from backfill_pipeline_tests.worker import servers

STANDBY = "Hot standby mode is disabled."


@contextmanager
def pooler(code: str, message: str, detail: str = "") -> Iterator[PostgresAddress]:
    """Its address; every login ends with this error."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answering = threading.Thread(target=refuse_all, args=(listening, answer(code, message, detail)), daemon=True)
        answering.start()
        yield PostgresAddress(
            host="127.0.0.1", port=listening.getsockname()[1], database="store", user="walled", sslmode="disable"
        )
        listening.shutdown(socket.SHUT_RDWR)
        answering.join(10)


def refuse_all(listening: socket.socket, said: bytes) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        with client:
            client.settimeout(10)
            client.recv(2000)
            client.sendall(said)


def answer(code: str, message: str, detail: str) -> bytes:
    fields = {"S": "FATAL", "V": "FATAL", "C": code, "M": message, **({"D": detail} if detail else {})}
    body = b"".join(f"{name}{text}\0".encode() for name, text in fields.items()) + b"\0"
    return b"E" + struct.pack("!I", 4 + len(body)) + body


@both_drivers
@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("no more connections allowed (max_client_conn)", Cause.TOO_MANY_CONNECTIONS),
        ("query_wait_timeout", Cause.TOO_MANY_CONNECTIONS),
        ("server login has been failing, cached error: connect failed (server_login_retry)", Cause.UNREACHABLE),
        ("server conn crashed?", Cause.CONNECTION_LOST),
    ],
)
def test_p1_a_pooler_that_has_no_server_for_us_is_not_unknown(run: Run, message: str, cause: Cause) -> None:
    with pooler("08P01", message) as address:
        assert_diagnosed(failure(run, Postgres(address), "SELECT 1"), cause)


@both_drivers
def test_a_pooler_that_quotes_a_wrong_password_is_not_waited_for(run: Run) -> None:
    quoted = 'password authentication failed for user "walled"'
    with pooler("08P01", f"server login has been failing, cached error: {quoted} (server_login_retry)") as address:
        assert_diagnosed(failure(run, Postgres(address), "SELECT 1"), Cause.NOT_PERMITTED)


@both_drivers
def test_a_standby_that_takes_no_reader_is_waited_for(run: Run) -> None:
    with pooler("57P03", "the database system is not accepting connections", STANDBY) as address:
        assert_diagnosed(failure(run, Postgres(address), "SELECT 1"), Cause.SERVER_SHUTDOWN)


@both_drivers
def test_a_host_that_no_network_leads_to_is_waited_for(run: Run) -> None:
    """As after a VPN is gone: no route to an address, here the one that TCP never has a route to."""
    nowhere = PostgresAddress(host="255.255.255.255", port=5432, database="store", user="walled")
    assert_diagnosed(failure(run, Postgres(nowhere), "SELECT 1"), Cause.UNREACHABLE)


@both_drivers
def test_a_database_that_was_closed_for_a_while_is_waited_for(closed: Postgres, run: Run) -> None:
    assert_diagnosed(failure(run, closed, "SELECT 1"), Cause.SERVER_SHUTDOWN)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    folder: Path = tmp_path_factory.mktemp("postgres") / "data"
    with servers.postgres_server(folder) as server:
        by = Postgres(server)
        with by.connection() as connection:
            connection.execute("CREATE DATABASE closed")
            connection.execute("ALTER DATABASE closed ALLOW_CONNECTIONS false")
        assert by_psycopg(by, "SELECT datallowconn FROM pg_database WHERE datname = 'closed'") == [(False,)]
        yield Postgres(server.model_copy(update={"database": "closed"}))
