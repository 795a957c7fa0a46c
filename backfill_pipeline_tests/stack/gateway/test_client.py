import datetime as dt
import os
import subprocess
import sys
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from clickhouse_connect.driver.external import ExternalData

from backfill_pipeline_tests.stack.gateway.conftest import Gateway

HARD = ["", "'\"`\\", "tab\tline\nnul\0", "emoji 😀 ü", "x" * 100_000, "__exception__", None]


@pytest.fixture
def table(client: Any) -> Any:
    client.command("CREATE TABLE t (id UInt64, s Nullable(String)) ENGINE = MergeTree ORDER BY id")
    return client


def read(client: Any) -> list:
    return [row[0] for row in client.query("SELECT s FROM t ORDER BY id").result_rows]


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_no_value_is_changed_by_the_way_in_and_out(gateway: Gateway, table: Any, compress: Any) -> None:
    with gateway.client(database=table.database, compress=compress) as client:
        client.insert("t", list(enumerate(HARD)), column_names=["id", "s"])
        assert read(client) == HARD


def test_no_value_is_changed_by_arrow_or_pandas(table: Any) -> None:
    table.insert_arrow("t", pa.table({"id": pa.array(range(len(HARD)), pa.uint64()), "s": HARD}))
    assert table.query_arrow("SELECT s FROM t ORDER BY id", use_strings=True)["s"].to_pylist() == HARD
    table.command("TRUNCATE TABLE t")
    table.insert_df("t", pd.DataFrame({"id": range(3), "s": HARD[:3]}))
    assert table.query_df("SELECT s FROM t ORDER BY id")["s"].tolist() == HARD[:3]


def test_no_parameter_is_changed_or_read_as_sql(table: Any) -> None:
    for value in HARD[:4]:
        assert table.query("SELECT {v:String}", parameters={"v": value}).result_rows == [(value,)]
    # One that quotes itself must stay a value also where a mutation is made of it.
    table.insert("t", [[1, "kept"]], column_names=["id", "s"])
    table.command("DELETE FROM t WHERE s = {v:String}", parameters={"v": "' OR 1 = 1 --"})
    assert read(table) == ["kept"]
    assert table.query("SELECT {a$b:String}", parameters={"a$b": "x"}).result_rows == [("x",)]


@pytest.mark.parametrize("fmt", ["TSV", "JSONEachRow", "CSV", "Native", "ArrowStream"])
def test_raw_bodies_survive_a_round_trip_in_every_format(table: Any, fmt: str) -> None:
    table.insert("t", [[1, "a'\\\t"], [2, None]], column_names=["id", "s"])
    body = table.raw_query("SELECT * FROM t ORDER BY id", fmt=fmt)
    table.command("TRUNCATE TABLE t")
    assert table.raw_insert("t", ["id", "s"], body, fmt=fmt).written_rows == 2
    assert read(table) == ["a'\\\t", None]


@pytest.mark.parametrize("fmt", ["TSV", "TSVWithNames", "TSVWithNamesAndTypes", "JSON", "CSVWithNames"])
def test_a_result_of_many_blocks_is_one_document(client: Any, fmt: str) -> None:
    settings = {"max_block_size": 1000}
    query = "SELECT number, 'x' AS s FROM numbers(5000)"
    assert client.raw_query(query, fmt=fmt, settings=settings).count(b"x") == 5000 or fmt == "JSON"
    lines = {"TSV": 5000, "TSVWithNames": 5001, "TSVWithNamesAndTypes": 5002, "CSVWithNames": 5001}
    if fmt in lines:
        assert client.raw_query(query, fmt=fmt, settings=settings).count(b"\n") == lines[fmt]
    else:
        assert client.raw_query(query, fmt=fmt, settings=settings).count(b'"rows": 5000') == 1


def test_an_arrow_stream_of_many_blocks_or_none_is_one_stream(client: Any) -> None:
    settings = {"max_block_size": 1000}
    body = client.raw_query("SELECT number FROM numbers(5000)", fmt="ArrowStream", settings=settings)
    assert pa.ipc.open_stream(body).read_all()["number"].to_pylist() == list(range(5000))
    empty = pa.ipc.open_stream(client.raw_query("SELECT 1 AS one WHERE 0", fmt="ArrowStream"))
    assert empty.read_all().column_names == ["one"]


def test_rows_in_blocks_lose_none(client: Any) -> None:
    with client.query_row_block_stream("SELECT number FROM numbers(300000)") as blocks:
        assert sum(len(block) for block in blocks) == 300_000


def test_an_insert_of_values_may_hold_parameters_and_expressions(table: Any) -> None:
    table.command("INSERT INTO t VALUES (1, upper({v:String})), (2, NULL)", parameters={"v": "o'k"})
    assert read(table) == ["O'K", None]


def test_parameters_in_a_form_and_external_data_are_heard(gateway: Gateway) -> None:
    with gateway.client(form_encode_query_params=True) as client:
        assert client.query("SELECT {v:String}", parameters={"v": "a'b"}).result_rows == [("a'b",)]
        sent = ExternalData(file_name="ids.tsv", fmt="TSV", structure=["id UInt64"], data=b"1\n2\n")
        assert client.query("SELECT sum(id) FROM ids", external_data=sent).result_rows == [(3,)]


def test_the_engine_behaves_as_a_server_unless_it_is_told_otherwise(client: Any) -> None:
    names = ["mutations_sync", "async_insert", "implicit_select", "lightweight_deletes_sync", "insert_deduplicate"]
    rows = client.query(
        "SELECT name, value FROM system.settings WHERE name IN {names:Array(String)}", parameters={"names": names}
    )
    expected = {"async_insert": "0", "implicit_select": "0", "insert_deduplicate": "1", "mutations_sync": "0"}
    assert dict(rows.result_rows) == expected | {"lightweight_deletes_sync": "2"}


def test_the_hosts_time_zone_does_not_move_a_moment(client: Any) -> None:
    assert client.query("SELECT timezone(), toString(toDateTime(0))").result_rows == [("UTC", "1970-01-01 00:00:00")]
    client.command("CREATE TABLE w (at DateTime) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY at")
    client.command("INSERT INTO w VALUES ('2024-01-31 23:59:59')")
    assert client.command("SELECT partition FROM system.parts WHERE database = currentDatabase()") == 202401


ASKS_FOR_A_TIME = """
import datetime, sys, clickhouse_connect
client = clickhouse_connect.get_client(host="127.0.0.1", port=int(sys.argv[1]), database=sys.argv[2])
moment = datetime.datetime(2024, 3, 10, 7, 30, 1, 234567, tzinfo=datetime.timezone.utc)
client.insert("w", [[moment]], column_names=["at"])
print(client.command("SELECT toUnixTimestamp64Micro(at) FROM w WHERE at = {m:DateTime64(6)}", parameters={"m": moment}))
"""


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu"])
def test_the_clients_time_zone_does_not_move_a_moment(gateway: Gateway, client: Any, zone: str) -> None:
    client.command("CREATE TABLE w (at DateTime64(6, 'UTC')) ENGINE = MergeTree ORDER BY at")
    command = [sys.executable, "-c", ASKS_FOR_A_TIME, str(gateway.port), client.database]
    done = subprocess.run(command, env={**os.environ, "TZ": zone}, capture_output=True, text=True, timeout=60)
    moment = dt.datetime(2024, 3, 10, 7, 30, 1, 234567, tzinfo=dt.UTC)
    assert done.stdout.strip() == str(int(moment.timestamp()) * 1_000_000 + 234_567), done.stderr
