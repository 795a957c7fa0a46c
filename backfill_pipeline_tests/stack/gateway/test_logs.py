from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from backfill_pipeline_tests.stack.gateway.conftest import Gateway, wait_until

SECRET = "correct-horse-battery"


def test_no_log_holds_a_parameter_a_password_or_a_row(gateway: Gateway, client: Any) -> None:
    with gateway.client(username="default", password=SECRET) as named:
        named.query("SELECT {p:String}", parameters={"p": SECRET})
        for sql in (f"SELECT toUInt8('{SECRET}')", f"SELECT '{SECRET}' FROM", "SELECT {p:UInt8}"):
            with pytest.raises(DatabaseError):
                named.command(sql, parameters={"p": SECRET})
        with pytest.raises(DatabaseError):
            named.raw_insert("system.one", ["dummy"], f"{SECRET}\n", fmt="TSV")
    wait_until(lambda: gateway.log.read_text().count(" failed: ") >= 4)
    assert SECRET not in gateway.log.read_text()


def test_a_rewriting_is_said_once_so_that_nobody_wonders(gateway: Gateway, client: Any) -> None:
    for name in ("a", "b"):
        client.command(f"CREATE TABLE {name} ON CLUSTER c (x UInt8) ENGINE = ReplicatedMergeTree ORDER BY x")
    assert gateway.log.read_text().count("ON CLUSTER is left out") == 1
    assert gateway.log.read_text().count("created as plain ones") == 1


def test_every_request_leaves_one_line_and_every_error_a_warning(gateway: Gateway, client: Any) -> None:
    client.command("SELECT 1", settings={"query_id": "a-known-request"})
    with pytest.raises(DatabaseError):
        client.command("SELECT nope", settings={"query_id": "a-known-failure"})
    wait_until(lambda: "a-known-failure" in gateway.log.read_text())  # a line is written after its answer was sent
    found = gateway.log.read_text()
    assert next(line for line in found.splitlines() if "a-known-request" in line).split()[2] == "DEBUG"
    assert "WARNING backfill_pipeline.stack.gateway.run a-known-failure failed: 47 UNKNOWN_IDENTIFIER" in found
