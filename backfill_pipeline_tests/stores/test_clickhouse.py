"""What a server says of itself: schemas, views, projections, sharding, and its errors as one of our kinds."""

import re
from datetime import UTC, datetime, timedelta

import clickhouse_connect
import pytest

from backfill_pipeline.config import Replica
from backfill_pipeline.domain.datasets import CONVERSATIONS
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.schemas import schema_mistakes
from backfill_pipeline.stores.clickhouse import CODES, ClickHouse, ShardStore, code_of, translate
from backfill_pipeline.stores.schemas import first_schemas, read_schemas
from backfill_pipeline.stores.target import dead_shards, future_rows, unowned_rows
from backfill_pipeline_tests.stores.claims import window
from backfill_pipeline_tests.stores.rows import put

TABLES = [t.table for t in CONVERSATIONS.targets]


def both(target: ClickHouse, statement: str) -> None:
    for shard in target.shards:
        shard.client().command(statement)


def failure(shard: ShardStore, sql: str) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        shard.query(sql)
    return caught.value


def test_a_table_as_domain_md_assumes_it_has_no_mistake_on_any_shard(target: ClickHouse) -> None:
    schemas = read_schemas(target, TABLES)
    assert len(schemas) == len(TABLES) * len(target.shards)
    assert {(s.version_column, s.version_scale) for s in schemas} == {("update_time", 6)}
    assert {s.sharding_key for s in schemas} == {"toRelativeDayNum(conversation_start_time, 'UTC')"}
    targets = {t.table: t for t in CONVERSATIONS.targets}
    assert [m for s in schemas for m in schema_mistakes(targets[s.table], s)] == []


@pytest.mark.parametrize("shard", [0, 1])
def test_d14_a_view_on_one_shard_only_is_seen_or_a_reload_would_double_it(target: ClickHouse, shard: int) -> None:
    client = target.shards[shard].client()
    client.command("CREATE TABLE daily (customer_id String, n UInt64) ENGINE = SummingMergeTree ORDER BY customer_id")
    client.command(
        "CREATE MATERIALIZED VIEW daily_view TO daily AS SELECT customer_id, count() AS n FROM score GROUP BY 1"
    )
    try:
        views = [s.views for s in read_schemas(target, TABLES) if s.views]
        assert views == [(f"{target.address.database}.daily_view",)]
    finally:
        client.command("DROP TABLE daily_view SYNC")
        client.command("DROP TABLE daily SYNC")


def test_d14_a_projection_is_read_or_every_light_delete_would_fail(target: ClickHouse) -> None:
    both(target, "ALTER TABLE score MODIFY SETTING deduplicate_merge_projection_mode = 'drop'")
    both(target, "ALTER TABLE score ADD PROJECTION per_customer (SELECT customer_id, count() GROUP BY customer_id)")
    assert first_schemas(target, TABLES)["score"].projections == ("per_customer",)
    assert first_schemas(target, TABLES)["scorecard"].projections == ()


@pytest.mark.parametrize(
    ("statement", "mistake"),
    [
        (
            "CREATE TABLE conversation (customer_id String, profile_id String, conversation_id String, update_time "
            "DateTime64(6,'UTC'), conversation_start_time DateTime64(3,'UTC')) ENGINE = MergeTree ORDER BY customer_id",
            "engine is MergeTree",
        ),
        (
            "CREATE TABLE conversation (customer_id String, profile_id String, conversation_id String, update_time "
            "UInt64, conversation_start_time DateTime64(3,'UTC')) ENGINE = ReplacingMergeTree(update_time) "
            "ORDER BY (customer_id, profile_id, toDate(conversation_start_time), conversation_id)",
            "is no DateTime",
        ),
    ],
)
def test_a_schema_that_would_make_the_delete_wrong_is_named(target: ClickHouse, statement: str, mistake: str) -> None:
    both(target, "DROP TABLE conversation SYNC")
    both(target, statement)
    assert mistake in "; ".join(
        schema_mistakes(CONVERSATIONS.main, first_schemas(target, ["conversation"])["conversation"])
    )


def test_a_table_missing_on_the_second_shard_is_named_with_that_shard(target: ClickHouse) -> None:
    target.shards[1].client().command("DROP TABLE score SYNC")
    with pytest.raises(PipelineError, match=r"no table scratch_\d+\.score.*shard 2") as caught:
        read_schemas(target, TABLES)
    assert caught.value.kind is Kind.MISSING


def test_the_clock_is_the_servers_in_utc_and_microseconds(target: ClickHouse) -> None:
    assert abs(target.now() - datetime.now(UTC)) < timedelta(seconds=10)
    assert target.now().utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("sql", "code", "kind"),
    [
        ("SELECT nope FROM conversation", "47", Kind.MISSING),
        ("SELECT 1 FROM nowhere", "60", Kind.MISSING),
        ("SELEC 1", "62", Kind.STOP),
        ("SELECT sleep(3) SETTINGS max_execution_time = 1", "159", Kind.RETRY),
        ("SELECT groupArray(number) FROM numbers(100000000) SETTINGS max_memory_usage = 10000000", "241", Kind.RETRY),
        ("SELECT throwIf(1)", "395", Kind.UNKNOWN),
    ],
)
def test_an_error_of_the_server_is_told_by_its_code_and_an_unlisted_one_is_unknown(
    target: ClickHouse, sql: str, code: str, kind: Kind
) -> None:
    error = failure(target.shards[0], sql)
    assert (error.code, error.kind) == (code, kind)
    assert str(target.shards[0]) in error.where


def test_every_code_has_a_reason_and_none_is_taken_for_unknown() -> None:
    assert all(reason and kind is not Kind.UNKNOWN for kind, reason in CODES.values())
    for code in CODES:
        assert translate(RuntimeError(f"Code: {code}. DB::Exception: x"), "here").code == str(code)


def test_a_number_in_the_text_of_an_error_is_not_taken_for_its_code() -> None:
    error = translate(OSError("connection to 10.0.0.1:8123 refused, errno 111"), "here")
    assert code_of(OSError("errno 111")) is None
    assert (error.kind, error.code) == (Kind.UNREACHABLE, None)


def test_an_address_where_nobody_answers_is_named(target: ClickHouse) -> None:
    away = ShardStore(2, [Replica(host="127.0.0.1", port=9)], target.address)
    error = failure(away, "SELECT 1")
    assert error.kind is Kind.UNREACHABLE
    assert "127.0.0.1:9" in error.where


def test_an_address_where_something_else_answers_is_not_taken_for_an_empty_clickhouse(target: ClickHouse) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    stranger = ShardStore(1, [Replica(host="127.0.0.1", port=server.server_port)], target.address)
    error = failure(stranger, "SELECT 1")
    server.shutdown()
    assert error.kind is Kind.UNREACHABLE


def test_a_shard_whose_first_replica_is_away_is_read_through_the_next(target: ClickHouse) -> None:
    alive = target.shards[0].replicas[0]
    shard = ShardStore(1, [alive.model_copy(update={"port": 9}), alive], target.address)
    assert shard.scalar("SELECT 1") == 1


def test_a_shard_without_an_active_replica_is_named_and_no_other(target: ClickHouse) -> None:
    address = target.address.model_copy(deep=True)
    address.shards[1].replicas[0] = Replica(host="127.0.0.1", port=9)
    assert [re.sub(r"\(.*", "", s) for s in dead_shards(ClickHouse(address))] == ["shard 2 "]
    assert dead_shards(target) == ()


def test_rows_of_the_future_are_counted_on_every_shard_and_only_those_of_the_window(target: ClickHouse) -> None:
    future = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d %H:%M:%S.%f}"
    for shard in target.shards:
        put(shard, conversation_id="future", update_time=future)
        put(shard, conversation_id="now")
        put(shard, conversation_id="elsewhere", day=20, update_time=future)
        put(shard, customer_id="acme-east", update_time=future)
    soon = target.now() + timedelta(seconds=5)
    found = future_rows(target, CONVERSATIONS, "acme", ["default"], window(1, 4), above=soon)
    assert found == {"conversation": 2, "scorecard": 0, "score": 0}


def test_rows_of_a_profile_that_nobody_configured_are_not_overlooked_for_ever(target: ClickHouse) -> None:
    for shard in target.shards:
        put(shard, profile_id="ghost")
        put(shard)
        put(shard, customer_id="acme-east", profile_id="ghost")
    tables = ["conversation", "scorecard"]
    assert unowned_rows(target, tables, "acme", ["default"]) == {"conversation": (2, 0), "scorecard": (0, 0)}
    assert unowned_rows(target, tables, "acme", ["default", "ghost"]) == dict.fromkeys(tables, (0, 0))


def test_rows_that_no_dataset_takes_are_counted_over_all_shards(target: ClickHouse) -> None:
    for shard in target.shards:
        put(shard)
        put(shard, conversation_id="")
        put(shard, conversation_id="", customer_id="acme-east")
    assert unowned_rows(target, ["conversation"], "acme", ["default"]) == {"conversation": (0, 2)}
    assert unowned_rows(target, ["conversation"], "globex", ["default"]) == {"conversation": (0, 0)}


def test_d2_the_client_is_the_kind_whose_broken_connection_is_thrown_away(target: ClickHouse) -> None:
    shard = ShardStore(1, target.shards[0].replicas, target.address)
    first = shard.client()
    assert isinstance(first, clickhouse_connect.driver.client.Client)
    with pytest.raises(PipelineError), shard.translated():
        raise OSError("the connection broke")
    assert shard.client() is not first


def test_a_look_at_a_replica_does_not_ask_for_all_its_settings_first(target: ClickHouse) -> None:
    shard, replica = target.shards[0], target.shards[0].replicas[0]
    client = shard.replica_client(replica)
    assert shard.client() is client
    assert shard.replica_client(replica) is client
    with pytest.raises(PipelineError), shard.translated(replica):
        raise ConnectionError("it is gone")
    assert shard.replica_client(replica) is not client


def test_l1_a_setting_that_the_server_lacks_is_not_sent_as_it_would_refuse_the_whole_statement(
    target: ClickHouse,
) -> None:
    shard, wanted = target.shards[0], {"async_insert": "0", "made_up_by_a_test": "1"}
    assert shard.known(wanted) == {"async_insert": "0"}
    with pytest.raises(PipelineError) as refused, shard.translated():
        shard.client().command("SELECT 1", settings=wanted)
    assert (refused.value.code, refused.value.kind) == ("115", Kind.STOP)
