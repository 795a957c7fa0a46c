import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import urllib3
from clickhouse_connect.driver.exceptions import DatabaseError, Error

from backfill_pipeline_tests.stack.gateway.conftest import Gateway, wait_until

FAILS_LATE = "SELECT number, throwIf(number = 3000000) FROM numbers(4000000)"
MANY_ROWS = "SELECT number, toString(number) FROM numbers(1000000000)"


class Tail:
    """Passes bytes on and keeps the last of them."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self.parts, self.tail = parts, b""

    def __iter__(self) -> Iterator[bytes]:
        for part in self.parts:
            self.tail = (self.tail + part)[-4096:]
            yield part


def exhaust(parts: Iterable[Any]) -> None:
    for _ in parts:
        pass


def send(gateway: Gateway, sql: str, **params: str) -> socket.socket:
    """A client that is free to go away."""
    client = socket.create_connection(("127.0.0.1", gateway.port))
    address = "&".join(f"{name}={value}" for name, value in params.items())
    head = f"POST /?{address} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(sql)}\r\n\r\n"
    client.sendall((head + sql).encode())
    return client


def running(client: Any, text: str) -> int:
    sql = "SELECT count() FROM system.processes WHERE query LIKE {text:String} AND query NOT LIKE '%system.processes%'"
    return client.command(sql, parameters={"text": f"%{text}%"})


@pytest.mark.parametrize("compress", [False, "lz4", "zstd"])
def test_an_error_in_mid_stream_is_not_taken_for_the_end_of_the_result(gateway: Gateway, compress: Any) -> None:
    client = gateway.client(compress=compress)
    with client.query_row_block_stream(FAILS_LATE) as blocks, pytest.raises(Error, match="throwIf"):
        exhaust(blocks)


@pytest.mark.parametrize("fmt", ["TSV", "CSV", "JSONEachRow"])
def test_a_client_that_knows_no_marker_sees_a_broken_body(gateway: Gateway, fmt: str) -> None:
    response = urllib3.PoolManager().request(
        "POST", gateway.url, body=f"{FAILS_LATE} FORMAT {fmt}", preload_content=False
    )
    assert response.status == 200
    with pytest.raises(urllib3.exceptions.HTTPError):
        exhaust(parts := Tail(response.stream(1 << 20)))
    assert b"__exception__\r\n" + response.headers["X-ClickHouse-Exception-Tag"].encode() in parts.tail


def test_a_client_that_waits_for_the_end_gets_the_errors_own_status(gateway: Gateway) -> None:
    sql = "SELECT throwIf(number = 300000) FROM numbers(400000)"
    waiting = urllib3.PoolManager().request("POST", f"{gateway.url}?wait_end_of_query=1", body=sql)
    assert (waiting.status, waiting.headers["X-ClickHouse-Exception-Code"]) == (500, "395")


def test_a_client_that_goes_away_in_mid_select_leaves_no_query_behind(gateway: Gateway, client: Any) -> None:
    gone = send(gateway, MANY_ROWS)
    gone.recv(1000)
    sleeping = send(
        gateway, "SELECT count(sleepEachRow(1)) FROM numbers(1000) SETTINGS function_sleep_max_microseconds_per_block=0"
    )
    wait_until(lambda: running(client, "numbers(1000") == 2)
    gone.close()
    sleeping.close()
    wait_until(lambda: running(client, "numbers(1000") == 0)


def test_a_client_that_goes_away_in_mid_insert_leaves_no_row_that_it_did_not_send(
    gateway: Gateway, client: Any
) -> None:
    client.command("CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id")
    address = f"/?database={client.database}&query=INSERT%20INTO%20t%20FORMAT%20TSV"
    gone = socket.create_connection(("127.0.0.1", gateway.port))
    gone.sendall(f"POST {address} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n1\n2\n12".encode())
    wait_until(lambda: running(client, "INSERT INTO t") == 1)
    gone.close()
    wait_until(lambda: running(client, "INSERT INTO t") == 0)
    # Whole rows may have landed, as nothing was said of them. Half a row would be a 12 that was a 123.
    assert client.command("SELECT count() FROM t WHERE id = 12") == 0


def test_a_broken_insert_is_not_acknowledged(client: Any) -> None:
    client.command("CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id")
    with pytest.raises(DatabaseError) as caught:
        client.raw_insert("t", ["id"], b"1\n2\nnot a number\n", fmt="TSV")
    assert caught.value.code == 27
    assert client.command("SELECT count() FROM t") == 0


def test_a_query_is_killed_by_the_id_its_client_gave_it(gateway: Gateway, client: Any) -> None:
    asleep = "SELECT count(sleepEachRow(1)) FROM numbers(1000) SETTINGS function_sleep_max_microseconds_per_block=0"
    victim = send(gateway, asleep, query_id="kill-me")
    wait_until(lambda: running(client, "numbers(1000)") == 1)
    client.command("KILL QUERY WHERE query_id = 'kill-me' SYNC")
    assert running(client, "numbers(1000)") == 0
    victim.close()


def test_a_client_that_reads_no_more_holds_neither_a_query_nor_a_kill(gateway: Gateway, client: Any) -> None:
    stuck = send(gateway, MANY_ROWS, query_id="stuck", http_send_timeout="1")
    stuck.recv(1000)
    # Its socket's buffers are full, and nothing else ends it, when it is cut off.
    wait_until(lambda: running(client, "numbers(1000000000)") == 0)
    stuck.close()
    killed = send(gateway, MANY_ROWS, query_id="kill-me", http_send_timeout="2")
    killed.recv(1000)
    time.sleep(1)
    client.command("KILL QUERY WHERE query_id = 'kill-me' SYNC")
    assert running(client, "numbers(1000000000)") == 0
    killed.close()


def lines(count: int) -> Iterator[bytes]:
    block = b"".join(b"%d\tsome text that is neither short nor long\n" % n for n in range(20_000))
    for _ in range(count * 1_000_000 // len(block)):
        yield block


def test_a_gigabyte_in_and_out_does_not_fill_the_memory(gateway: Gateway, client: Any) -> None:
    client.command("CREATE TABLE t (id UInt64, s String) ENGINE = Null")
    client.raw_insert("t", ["id", "s"], lines(100), fmt="TSV")
    before, highest = gateway.resident, 0

    def watched() -> Iterator[bytes]:
        nonlocal highest
        for at, block in enumerate(lines(1000)):
            highest = max(highest, gateway.resident) if at % 50 == 0 else highest
            yield block

    client.raw_insert("t", ["id", "s"], watched(), fmt="TSV")
    assert highest - before < 300 << 20
    size, stream = 0, client.raw_stream("SELECT repeat('x', 100) FROM numbers(10000000)", fmt="Native")
    for at, part in enumerate(stream.stream(1 << 20)):
        size += len(part)
        highest = max(highest, gateway.resident) if at % 50 == 0 else highest
    assert size > 1_000_000_000
    assert highest - before < 300 << 20


def test_a_slow_reader_gets_rows_before_the_query_ends(gateway: Gateway) -> None:
    sql = "SELECT sleepEachRow(0.05) FROM numbers(300) SETTINGS max_block_size = 1 FORMAT TSV"
    began = time.monotonic()
    response = urllib3.PoolManager().request("POST", gateway.url, body=sql, preload_content=False)
    assert next(response.stream(10))
    assert time.monotonic() - began < 10
    response.close()


def test_a_query_that_has_ended_is_not_killed_after_its_answer(client: Any) -> None:
    """The end of an answer is told like the end of a client; a kill for each costs as much as the query."""
    for n in range(5):
        client.query("SELECT 1", settings={"query_id": f"answered-{n}"})
    time.sleep(0.5)
    client.command("SYSTEM FLUSH LOGS")
    assert client.query("SELECT query FROM system.query_log WHERE query LIKE 'KILL%answered-%'").result_rows == []
    assert client.command("SELECT count() > 0 FROM system.query_log WHERE query LIKE 'SELECT 1%'") == 1
