import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3

from backfill_pipeline_tests.stack.gateway.conftest import Gateway

CHECKED = "CREATE TABLE t (id UInt64, CONSTRAINT low CHECK id < 1000000) ENGINE = MergeTree ORDER BY id"
FAILS = {
    "a violated constraint": ([CHECKED], b"1\n2\n2000000\n", 469, "VIOLATED_CONSTRAINT"),
    "too many partitions in one block": (
        ["CREATE TABLE t (id UInt64) ENGINE = MergeTree PARTITION BY id ORDER BY id"],
        b"".join(b"%d\n" % n for n in range(200)),
        252,
        "TOO_MANY_PARTS",
    ),
    "too many parts": (
        [
            "CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id"
            " SETTINGS parts_to_throw_insert = 1, parts_to_delay_insert = 0",
            "INSERT INTO t VALUES (1)",
        ],
        b"2\n",
        252,
        "TOO_MANY_PARTS",
    ),
    "a default that throws": (
        ["CREATE TABLE t (id UInt64, d UInt8 DEFAULT throwIf(id = 2)) ENGINE = MergeTree ORDER BY id"],
        b"1\n2\n",
        395,
        "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO",
    ),
    "a view that throws": (
        [
            "CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id",
            "CREATE MATERIALIZED VIEW v ENGINE = Memory AS SELECT throwIf(id = 2) FROM t",
        ],
        b"1\n2\n",
        395,
        "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO",
    ),
}


def insert(gateway: Gateway, client: Any, data: Any, table: str = "t", **settings: str) -> Any:
    query = f"INSERT INTO {table} (id) FORMAT TSV"
    address = urlencode({"query": query, "database": client.database, **settings})
    return urllib3.PoolManager().request("POST", f"{gateway.url}?{address}", body=data)


def count(client: Any, table: str = "t") -> int:
    return int(client.command(f"SELECT count() FROM {table}"))


def lines(numbers: range, step: int = 100_000) -> Iterator[bytes]:
    for start in range(numbers.start, numbers.stop, step):
        yield b"".join(b"%d\n" % n for n in range(start, min(start + step, numbers.stop)))


@pytest.mark.parametrize("cause", FAILS)
def test_an_insert_that_breaks_off_while_it_writes_is_not_acknowledged(
    gateway: Gateway, client: Any, cause: str
) -> None:
    statements, data, code, name = FAILS[cause]
    for sql in statements:
        client.command(sql)
    response = insert(gateway, client, data)
    assert (response.status, response.headers.get("X-ClickHouse-Exception-Code")) == (500, str(code))
    text = response.data.decode()
    assert text.startswith(f"Code: {code}. DB::Exception: ")
    assert text.endswith(f". ({name}) (version {client.server_version} (official build))\n")
    assert text.count("(version ") == 1


def test_a_large_insert_of_which_a_part_was_written_is_not_acknowledged(gateway: Gateway, client: Any) -> None:
    client.command(CHECKED)
    size = {"max_insert_block_size": "100000", "min_insert_block_size_rows": "100000"}
    response = insert(gateway, client, lines(range(1_500_000)), **size)
    assert (response.status, response.headers.get("X-ClickHouse-Exception-Code")) == (500, "469")
    assert 0 < count(client) < 1_000_000


def test_an_insert_beyond_its_memory_is_not_acknowledged(gateway: Gateway, client: Any) -> None:
    client.command("CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id")
    # All rows gathered into one block, which cannot fit.
    gathered = {"min_insert_block_size_rows": "10000000", "min_insert_block_size_bytes": "0"}
    response = insert(gateway, client, lines(range(3_000_000)), max_memory_usage="20000000", **gathered)
    assert (response.status, response.headers.get("X-ClickHouse-Exception-Code")) == (500, "241")


def test_an_insert_that_fails_does_not_fail_its_good_neighbour(gateway: Gateway, client: Any) -> None:
    client.command(CHECKED)
    client.command("CREATE TABLE good (id UInt64) ENGINE = MergeTree ORDER BY id")
    refused: list[int] = []
    done = threading.Event()

    def fail() -> None:
        while not done.is_set():
            refused.append(insert(gateway, client, b"2000000\n").status)

    def slowly(batch: int) -> Iterator[bytes]:
        yield b"%d\n" % batch
        # Begun by now, so that the neighbour's error comes into its time.
        before = len(refused)
        while len(refused) < before + 2:
            done.wait(0.01)

    neighbour = threading.Thread(target=fail)
    neighbour.start()
    answers = [insert(gateway, client, slowly(batch), "good").status for batch in range(10)]
    done.set()
    neighbour.join()
    assert answers == [200] * 10
    assert count(client, "good") == 10
    assert set(refused) == {500}
    assert count(client) == 0


def test_inserts_that_fail_at_once_get_each_its_own_error(gateway: Gateway, client: Any) -> None:
    client.command(CHECKED)
    client.command("CREATE TABLE parts (id UInt64) ENGINE = MergeTree PARTITION BY id ORDER BY id")
    many = b"".join(lines(range(200)))
    codes: dict[str, set[Any]] = {"t": set(), "parts": set()}

    def fail(table: str, data: bytes) -> None:
        for _ in range(10):
            response = insert(gateway, client, data, table)
            codes[table].add((response.status, response.headers.get("X-ClickHouse-Exception-Code")))

    pairs = [("t", b"2000000\n"), ("parts", many)] * 3
    threads = [threading.Thread(target=fail, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == {"t": {(500, "469")}, "parts": {(500, "252")}}


def test_an_id_that_failed_once_may_be_used_again(gateway: Gateway, client: Any) -> None:
    client.command(CHECKED)
    again = {"query_id": "used again, and 'not' plain"}
    statuses = [insert(gateway, client, data, **again).status for data in (b"2000000\n", b"1\n", b"2000000\n", b"2\n")]
    assert statuses == [500, 200, 500, 200]


def test_a_client_that_keeps_out_of_the_log_is_not_told_that_its_insert_went_well(
    gateway: Gateway, client: Any
) -> None:
    client.command(CHECKED)
    response = insert(gateway, client, b"2000000\n", log_queries="0")
    assert (response.status, response.headers.get("X-ClickHouse-Exception-Code")) == (500, "1002")


def test_a_clients_limits_do_not_blind_the_gateway(gateway: Gateway, client: Any) -> None:
    client.command(CHECKED)
    response = insert(gateway, client, b"2000000\n", limit="0", offset="5", max_rows_to_read="1")
    assert (response.status, response.headers.get("X-ClickHouse-Exception-Code")) == (500, "469")


def test_an_insert_that_was_sent_before_is_acknowledged_and_not_written_again(gateway: Gateway, client: Any) -> None:
    client.command(CHECKED)
    statuses = [insert(gateway, client, b"1\n2\n", insert_deduplication_token="once").status for _ in range(2)]
    assert statuses == [200, 200]
    assert count(client) == 2
