from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from backfill_pipeline_tests.stack.gateway.conftest import Gateway, wait_until

REPLICATED = (
    "CREATE TABLE {name} ON CLUSTER conversations"
    " (id UInt64, v UInt64, n UInt64 DEFAULT 0, day Date DEFAULT '2024-01-01')"
    " ENGINE = ReplicatedReplacingMergeTree('/tables/{{shard}}/{name}', '{{replica}}', v) PARTITION BY day ORDER BY id"
)


def create(client: Any, name: str = "t") -> None:
    client.command(REPLICATED.format(name=name))


def refused(client: Any, sql: str, **options: Any) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught:
        client.command(sql, **options)
    return caught.value


NONDETERMINISTIC = [
    ("ALTER TABLE t DELETE WHERE id IN (SELECT id FROM t)", "subquery may be nondeterministic"),
    ("ALTER TABLE t DELETE WHERE day < toDate(now())", "Function 'now' is non-deterministic"),
    ("ALTER TABLE t UPDATE n = rand() WHERE 1", "Function 'rand' is non-deterministic"),
    ("DELETE FROM t WHERE day < Today()", "is non-deterministic"),
    ("DELETE FROM t WHERE id = (SELECT 1)", "subquery may be nondeterministic"),
    ("ALTER TABLE `t` ON CLUSTER conversations DELETE WHERE generateUUIDv4() = toUUID('')", "is non-deterministic"),
]


@pytest.mark.parametrize(("sql", "text"), NONDETERMINISTIC)
def test_a_delete_that_production_refuses_does_not_pass_here(client: Any, sql: str, text: str) -> None:
    create(client)
    error = refused(client, sql)
    assert error.code == 36
    assert text in str(error)
    client.command(sql.replace("toUUID('')", "toUUIDOrZero('')"), settings={"allow_nondeterministic_mutations": 1})


def test_a_plain_table_accepts_what_a_plain_table_accepts(client: Any) -> None:
    client.command("CREATE TABLE p (id UInt64) ENGINE = MergeTree ORDER BY id")
    client.command("ALTER TABLE p DELETE WHERE id IN (SELECT 1)")
    refused(client, "SYSTEM SYNC REPLICA p")


def test_a_literal_that_looks_like_a_function_is_not_refused(client: Any) -> None:
    create(client)
    client.command("ALTER TABLE t DELETE WHERE toString(id) = 'now() (SELECT 1)' /* rand() */ AND id = toUInt64(1)")


def test_a_rename_or_an_exchange_does_not_make_a_table_forget_that_it_is_replicated(client: Any) -> None:
    create(client, "a")
    client.command("CREATE TABLE b (id UInt64) ENGINE = MergeTree ORDER BY id")
    client.command("EXCHANGE TABLES a AND b")
    refused(client, "ALTER TABLE b DELETE WHERE id IN (SELECT 1)")
    client.command("ALTER TABLE a DELETE WHERE id IN (SELECT 1)")
    client.command("RENAME TABLE b TO c")
    client.command("CREATE TABLE d AS c")
    for name in ("c", "d"):
        refused(client, f"DELETE FROM {client.database}.{name} WHERE id IN (SELECT 1)")


def test_waiting_for_a_replica_succeeds_where_there_is_but_one(client: Any) -> None:
    create(client)
    for ending in ("", " LIGHTWEIGHT", " STRICT"):
        client.command(f"SYSTEM SYNC REPLICA t{ending}")
    assert refused(client, "SYSTEM SYNC REPLICA missing").code == 60


def test_a_block_sent_again_with_its_token_is_not_doubled(client: Any) -> None:
    create(client)
    for token in ("one", "one", "two"):
        client.insert("t", [[1, 1]], column_names=["id", "v"], settings={"insert_deduplication_token": token})
    assert client.command("SELECT count() FROM t") == 2
    assert client.command("SELECT count() FROM t FINAL") == 1


def test_a_mutation_is_seen_to_its_end_and_deletes_what_it_says(client: Any) -> None:
    create(client)
    client.command("INSERT INTO t (id, v) SELECT number, 1 FROM numbers(1000)")
    client.command("ALTER TABLE t ON CLUSTER conversations DELETE WHERE id < 10")
    query = "SELECT min(is_done) FROM system.mutations WHERE database = currentDatabase() AND table = 't'"
    wait_until(lambda: client.command(query) == 1)
    assert client.command("SELECT count() FROM t") == 990
    client.command("DELETE FROM t WHERE id < 20", settings={"lightweight_deletes_sync": 0})
    wait_until(lambda: client.command(query) == 1)
    assert client.command("SELECT count() FROM t") == 980


def test_a_mutation_that_cannot_succeed_says_why_and_can_be_killed(client: Any) -> None:
    create(client)
    client.command("INSERT INTO t (id, v) VALUES (1, 1)")
    client.command("ALTER TABLE t DELETE WHERE throwIf(id = 1)")
    rows = "SELECT count() FROM system.mutations WHERE database = currentDatabase()"
    wait_until(lambda: client.command(f"{rows} AND latest_fail_reason != ''") == 1)
    client.command("KILL MUTATION WHERE database = currentDatabase() AND table = 't'")
    wait_until(lambda: client.command(f"{rows} AND is_killed = 0") == 0)


def test_distributed_reads_and_writes_reach_the_local_shard(client: Any) -> None:
    create(client)
    client.command("CREATE TABLE d AS t ENGINE = Distributed(conversations, currentDatabase(), t, id)")
    settings = {"distributed_foreground_insert": 1}
    client.insert("d", [[1, 1], [2, 2]], column_names=["id", "v"], settings=settings)
    assert client.command("SELECT count() FROM d FINAL") == 2
    assert client.command("SELECT count() FROM t") == 2
    assert client.command("SELECT is_local FROM system.clusters WHERE cluster = 'conversations'") == 1
    assert client.command("SELECT count() FROM clusterAllReplicas('conversations', system.one)") == 1
    assert client.command("SELECT getMacro('shard')") == 1


def test_parts_and_partitions_are_what_a_server_shows(client: Any) -> None:
    create(client)
    create(client, "spare")
    client.command("INSERT INTO t (id, v, day) VALUES (1, 1, '2024-01-01'), (2, 1, '2024-01-02')")
    parts = "SELECT count() FROM system.parts WHERE database = currentDatabase() AND active AND table = 't'"
    assert client.command(parts) == 2
    client.command("ALTER TABLE t MOVE PARTITION '2024-01-02' TO TABLE spare")
    client.command("EXCHANGE TABLES t AND spare")
    assert client.command("SELECT groupArray(id) FROM t") == "[2]"


def test_a_log_of_queries_and_parts_is_kept(gateway: Gateway, client: Any) -> None:
    create(client)
    client.command("INSERT INTO t (id, v) VALUES (1, 1)")
    client.command("SYSTEM FLUSH LOGS")
    assert client.command(f"SELECT count() > 0 FROM system.part_log WHERE database = '{client.database}'") == 1
    assert client.command("SELECT count() > 0 FROM system.query_log WHERE query ILIKE '%INSERT INTO t%'") == 1
