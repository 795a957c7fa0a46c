import shutil
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, Error

from backfill_pipeline_tests.stack.gateway.conftest import Gateway, wait_until

TABLE = "CREATE TABLE t (id UInt64, v UInt64) ENGINE = ReplicatedMergeTree('/t', '{replica}') ORDER BY id"


def insert_until_killed(client: Any, who: int, acknowledged: list[int]) -> None:
    for batch in range(100_000):
        try:
            client.insert("t", [[batch, who * 100 + n] for n in range(100)], column_names=["id", "v"])
        except Error:
            return
        acknowledged.append(batch)


def test_no_acknowledged_insert_is_lost_by_a_kill(own_gateway: Gateway) -> None:
    own_gateway.client().command(TABLE)
    acknowledged: list[list[int]] = [[] for _ in range(3)]
    threads = [
        threading.Thread(target=insert_until_killed, args=(own_gateway.client(), who, mine))
        for who, mine in enumerate(acknowledged)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: sum(map(len, acknowledged)) > 20, seconds=120)
    own_gateway.kill()
    for thread in threads:
        thread.join(30)
    own_gateway.start()
    rows = dict(own_gateway.client().query("SELECT id, count() FROM t GROUP BY id").result_rows)
    for batch in range(max(map(len, acknowledged))):
        assert rows[batch] >= 100 * sum(batch in mine for mine in acknowledged)


BY_ITSELF = """
import sys
import chdb._chdb
connection = chdb._chdb.connect(sys.argv[1])
connection.query("CREATE TABLE kept (id UInt64) ENGINE = MergeTree ORDER BY id", "Native")
connection.query("INSERT INTO kept VALUES (7)", "Native")
connection.close()
"""


def test_a_folder_that_the_engine_made_by_itself_keeps_its_rows_over_every_start(own_gateway: Gateway) -> None:
    own_gateway.stop()
    data = own_gateway.path / "data"
    shutil.rmtree(data)
    subprocess.run([sys.executable, "-c", BY_ITSELF, str(data)], check=True, timeout=60)
    for _ in range(2):
        own_gateway.start()
        assert own_gateway.client().command("SELECT id FROM default.kept") == 7
        own_gateway.kill()
    own_gateway.start()


def test_no_acknowledged_change_is_lost_by_a_kill(own_gateway: Gateway) -> None:
    client = own_gateway.client()
    client.command(TABLE)
    client.command("INSERT INTO t SELECT number, 0 FROM numbers(100000)")
    # Slow enough to be pending at the kill: each row that it looks at costs it time.
    client.command("ALTER TABLE t UPDATE v = sleepEachRow(0.00001) + 1 WHERE 1")
    client.command("DELETE FROM t WHERE id < 10", settings={"lightweight_deletes_sync": 0})
    client.command("ALTER TABLE t DELETE WHERE id >= 99990")
    client.command("CREATE TABLE made (id UInt64) ENGINE = MergeTree ORDER BY id")
    own_gateway.kill()
    own_gateway.start()
    client = own_gateway.client()
    assert client.command("EXISTS TABLE made") == 1
    wait_until(lambda: client.command("SELECT min(is_done) FROM system.mutations WHERE table = 't'") == 1, seconds=60)
    assert client.query("SELECT count(), min(id), max(id), min(v) FROM t").result_rows == [(99_980, 10, 99_989, 1)]


def test_a_restart_does_not_forget_which_tables_are_replicated(own_gateway: Gateway) -> None:
    own_gateway.client().command(TABLE)
    own_gateway.kill()
    own_gateway.start()
    with pytest.raises(DatabaseError, match="nondeterministic"):
        own_gateway.client().command("ALTER TABLE t DELETE WHERE id IN (SELECT 1)")


def test_a_stop_is_clean_and_within_five_seconds_whatever_still_runs(own_gateway: Gateway) -> None:
    own_gateway.client().command(TABLE)
    for sql in ("SELECT number FROM numbers(100000000000)", "SELECT sleepEachRow(3) FROM numbers(100)"):
        hanging = socket.create_connection(("127.0.0.1", own_gateway.port))
        hanging.sendall(f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(sql)}\r\n\r\n{sql}".encode())
    time.sleep(0.5)
    began = time.monotonic()
    assert own_gateway.stop() == 0
    assert time.monotonic() - began < 8  # four of grace, and a busy machine
    own_gateway.start()
    assert own_gateway.client().command("SELECT count() FROM t") == 0


def test_a_second_gateway_does_not_open_the_same_data(own_gateway: Gateway) -> None:
    command = [sys.executable, "-m", "backfill_pipeline.stack.gateway", "--path", str(own_gateway.path), "--port", "1"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert "another gateway holds" in second.stderr


def test_a_query_beyond_the_memory_is_refused_and_the_gateway_lives(own_gateway: Gateway) -> None:
    client = own_gateway.client()
    with pytest.raises(DatabaseError) as caught:
        client.command("SELECT length(groupArray(number)) FROM numbers(1000000000)")
    assert caught.value.code == 241
    assert client.command("SELECT 1") == 1


def test_a_request_in_flight_is_answered_before_the_stop(own_gateway: Gateway) -> None:
    answers: list[Any] = []
    client = own_gateway.client()
    sql = "SELECT count(sleepEachRow(0.5)) FROM numbers(3)"
    thread = threading.Thread(target=lambda: answers.append(client.command(sql)))
    thread.start()
    time.sleep(0.5)
    assert own_gateway.stop() == 0
    thread.join()
    assert answers == [3]
