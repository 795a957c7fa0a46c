import subprocess
import sys
import time
from typing import Any

from backfill_pipeline_tests.stack.gateway.conftest import Gateway

WORK = """
import sys, clickhouse_connect
port, database, mine = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
client = clickhouse_connect.get_client(host="127.0.0.1", port=port, database=database)
for batch in range(10):
    rows = [[mine, batch * 500 + n, f"{mine} of {batch}"] for n in range(500)]
    client.insert("t", rows, column_names=["who", "n", "s"])
    seen = client.query("SELECT count(), uniqExact(n) FROM t WHERE who = {who:UInt8}", parameters={"who": mine})
    assert seen.result_rows == [((batch + 1) * 500,) * 2], seen.result_rows
client.command(f"ALTER TABLE t DELETE WHERE who = {mine} AND n < 100", settings={"mutations_sync": 1})
assert client.command(f"SELECT count() FROM t WHERE who = {mine}") == 4900
"""


def test_eight_processes_at_once_neither_lose_nor_mix_rows(gateway: Gateway, client: Any) -> None:
    client.command("CREATE TABLE t (who UInt8, n UInt32, s String) ENGINE = MergeTree ORDER BY (who, n)")
    command = [sys.executable, "-c", WORK, str(gateway.port), client.database]
    workers = [subprocess.Popen([*command, str(mine)], stderr=subprocess.PIPE) for mine in range(8)]
    for worker in workers:
        assert worker.wait(200) == 0, worker.communicate()[1].decode()
    assert client.command("SELECT count() FROM t") == 8 * 4900


def test_one_slow_query_does_not_keep_the_others_waiting(gateway: Gateway, client: Any) -> None:
    script = "import sys, urllib.request as u; u.urlopen(sys.argv[1], sys.argv[2].encode()).read()"
    slow = subprocess.Popen(
        [
            sys.executable,
            "-c",
            script,
            gateway.url,
            "SELECT count(sleepEachRow(1)) FROM numbers(8) SETTINGS max_block_size = 1",
        ]
    )
    time.sleep(0.5)
    assert client.command("SELECT 1") == 1
    assert slow.poll() is None
    assert slow.wait(60) == 0
