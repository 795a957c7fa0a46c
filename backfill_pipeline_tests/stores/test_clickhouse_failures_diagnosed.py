"""ClickHouse's failures, provoked on the real engine: each is told by name, typed or as text, and worded as recorded.

The engine is embedded: it has no replica, no Keeper and no load of others, and is not stopped by a server. So 236, 242,
999 and their like can't be provoked; their texts are ClickHouse's own source's.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from backfill_pipeline.domain.causes import Cause
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.stores import mutations
from backfill_pipeline.stores.clickhouse import CODES, ClickHouse, ShardStore
from backfill_pipeline_tests.domain.failure_codes import CLICKHOUSE
from backfill_pipeline_tests.domain.failure_texts import assert_diagnosed
from backfill_pipeline_tests.stores.rows import a_delete, put
from backfill_pipeline_tests.worker import servers, targets

SLOW = "SELECT count() FROM numbers(100000000000) WHERE cityHash64(number) = 1 SETTINGS max_execution_time = 30"


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    with servers.gateway(tmp_path_factory.mktemp("shard") / "1") as port:
        found = ClickHouse(targets.address_of([port]))
        yield found
        found.close()


@pytest.fixture
def shard(clickhouse: ClickHouse) -> ShardStore:
    targets.create(clickhouse)
    return clickhouse.shards[0]


def send(shard: ShardStore, *statements: str) -> None:
    for statement in statements:
        with shard.translated():
            shard.client().command(statement)


def failure(call: Callable[[], object]) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("sql", "cause"),
    [
        ("SELECT 1 FROM nowhere", Cause.SCHEMA_DRIFT),
        ("SELECT nope FROM conversation", Cause.SCHEMA_DRIFT),
        ("INSERT INTO conversation (nope) VALUES (1)", Cause.SCHEMA_DRIFT),
        ("SELECT 1 FROM nowhere.conversation", Cause.MISSING),
        ("SELECT sleep(3) SETTINGS max_execution_time = 1", Cause.CLICKHOUSE_TIMEOUT),
        (
            "SELECT groupArray(number) FROM numbers(100000000) SETTINGS max_memory_usage = 10000000",
            Cause.CLICKHOUSE_MEMORY,
        ),
        ("SELEC 1", Cause.FAILS_AGAIN),
        ("CREATE USER stranger IDENTIFIED BY 'x'", Cause.NOT_PERMITTED),
        ("INSERT INTO conversation SELECT * FROM conversation SETTINGS readonly = 1", Cause.NOT_PERMITTED),
        ("SELECT 1 FROM remote('no-such-host.invalid', system.one)", Cause.UNREACHABLE),
    ],
)
def test_what_the_server_refuses_is_told_by_its_cause(shard: ShardStore, sql: str, cause: Cause) -> None:
    assert_diagnosed(failure(lambda: send(shard, sql)), cause)


def strewn(shard: ShardStore, settings: str, *statements: str) -> None:
    """A table of its own with these settings, a row, and statements."""
    make = f"CREATE TABLE strewn (n UInt8) ENGINE = MergeTree ORDER BY n SETTINGS {settings}"
    send(shard, "DROP TABLE IF EXISTS strewn SYNC", make, "INSERT INTO strewn VALUES (1)", *statements)


@pytest.mark.parametrize(
    ("settings", "statements", "cause"),
    [
        (
            "parts_to_throw_insert = 2, parts_to_delay_insert = 1, max_delay_to_insert = 0",
            ["SYSTEM STOP MERGES strewn", *["INSERT INTO strewn VALUES (2)"] * 3],
            Cause.TOO_MANY_PARTS,
        ),
        (
            "number_of_mutations_to_throw = 2, number_of_mutations_to_delay = 0",
            ["SYSTEM STOP MERGES strewn", *["ALTER TABLE strewn DELETE WHERE n = 2 SETTINGS mutations_sync = 0"] * 3],
            Cause.TOO_MANY_MUTATIONS,
        ),
        (
            "deduplicate_merge_projection_mode = 'drop'",
            [
                "ALTER TABLE strewn ADD PROJECTION p (SELECT n, count() GROUP BY n)",
                "ALTER TABLE strewn MATERIALIZE PROJECTION p SETTINGS mutations_sync = 1",
                "DELETE FROM strewn WHERE n = 1",
            ],
            Cause.NOT_SUPPORTED,
        ),
        (
            "index_granularity = 8192",
            ["ALTER TABLE strewn DELETE WHERE throwIf(n = 1) = 0 SETTINGS mutations_sync = 1"],
            Cause.FAILS_AGAIN,
        ),
    ],
)
def test_l5_a_table_that_takes_no_more_is_told_by_what_it_has_too_much_of(
    shard: ShardStore, settings: str, statements: Sequence[str], cause: Cause
) -> None:
    assert_diagnosed(failure(lambda: strewn(shard, settings, *statements)), cause)


def test_a_full_disk_is_waited_for_and_not_unknown(shard: ShardStore) -> None:
    full = "min_free_disk_bytes_to_perform_insert = 1000000000000000"
    assert_diagnosed(failure(lambda: strewn(shard, full)), Cause.NO_RESOURCE)


def while_it_runs(shard: ShardStore, seen: str, statement: str) -> threading.Thread:
    """Sends a statement from elsewhere as soon as `seen` counts something."""

    def send_it() -> None:
        other = ShardStore(1, shard.replicas, shard._address)
        servers.wait_until(lambda: bool(other.scalar(seen)), "the work's beginning", 20)
        other.query(statement)

    sending = threading.Thread(target=send_it)
    sending.start()
    return sending


def test_a_query_that_somebody_killed_is_not_taken_for_a_time_out(shard: ShardStore) -> None:
    ours = "query LIKE '%cityHash64(number)%' AND query NOT LIKE '%system.processes%' AND query NOT LIKE 'KILL%'"
    killing = while_it_runs(
        shard, f"SELECT count() FROM system.processes WHERE {ours}", f"KILL QUERY WHERE {ours} ASYNC"
    )
    error = failure(lambda: shard.query(SLOW))
    killing.join(30)
    assert_diagnosed(error, Cause.QUERY_KILLED)


def test_a_mutation_that_somebody_killed_is_not_taken_for_an_inactive_replica(shard: ShardStore) -> None:
    strewn(shard, "index_granularity = 8192", "SYSTEM STOP MERGES strewn")
    waits = "SELECT count() FROM system.mutations WHERE table = 'strewn' AND NOT is_done"
    killing = while_it_runs(shard, waits, "KILL MUTATION WHERE table = 'strewn'")
    error = failure(lambda: send(shard, "ALTER TABLE strewn DELETE WHERE n = 1 SETTINGS mutations_sync = 1"))
    killing.join(30)
    assert_diagnosed(error, Cause.QUERY_KILLED)


def test_d4_a_delete_that_somebody_killed_is_not_taken_for_one_that_can_not_succeed(shard: ShardStore) -> None:
    put(shard)
    send(shard, "SYSTEM STOP MERGES conversation")
    mutations.submit(shard, a_delete(), method="lightweight")

    def kill(_: float) -> None:
        mutations.kill(shard, a_delete())

    error = failure(lambda: mutations.wait(shard, a_delete(), deadline_seconds=20, poll_seconds=0.01, sleep=kill))
    assert_diagnosed(error, Cause.QUERY_KILLED)


def test_d4_a_delete_that_can_not_succeed_is_left_to_a_person(shard: ShardStore) -> None:
    put(shard)
    hopeless = replace(a_delete(), places=f"{a_delete().places} AND throwIf(conversation_id = 'c1') = 0")
    mutations.submit(shard, hopeless, method="lightweight")
    error = failure(lambda: mutations.wait(shard, hopeless, deadline_seconds=20, poll_seconds=0.05))
    assert_diagnosed(error, Cause.FAILS_AGAIN, as_text=Cause.UNKNOWN)


def test_d6_a_delete_without_room_and_one_without_an_end_are_told_apart(shard: ShardStore) -> None:
    put(shard)
    send(shard, "SYSTEM STOP MERGES conversation")
    for number in range(mutations.MAX_WAITING):
        send(shard, f"ALTER TABLE conversation DELETE WHERE customer_id = '{number}' SETTINGS mutations_sync = 0")
    no_room = failure(lambda: mutations.wait_for_room(shard, "conversation", deadline_seconds=0))
    assert_diagnosed(no_room, Cause.TOO_MANY_MUTATIONS)
    no_end = failure(lambda: mutations.wait(shard, a_delete(), deadline_seconds=0, poll_seconds=0.05))
    assert_diagnosed(no_end, Cause.DEADLINE)


def test_a_server_that_is_away_and_one_that_is_slow_are_told_apart(clickhouse: ClickHouse, shard: ShardStore) -> None:
    here = shard.replicas[0]
    for changed in ({"port": 9}, {"host": "no-such-host.invalid"}):
        away = ShardStore(2, [here.model_copy(update=changed)], clickhouse.address)
        assert_diagnosed(failure(lambda store=away: store.query("SELECT 1")), Cause.UNREACHABLE)  # type: ignore[misc]
    hasty = ClickHouse(clickhouse.address.model_copy(update={"query_timeout_seconds": 1})).shards[0]
    assert_diagnosed(failure(lambda: hasty.query("SELECT sleep(3)")), Cause.CLICKHOUSE_TIMEOUT)


def test_no_number_is_listed_that_the_server_does_not_know_by_this_name(shard: ShardStore) -> None:
    asked = "SELECT code, errorCodeToName(code) FROM (SELECT arrayJoin({codes:Array(UInt32)}) AS code)"
    assert dict(shard.query(asked, {"codes": [*CLICKHOUSE, *CODES]})).items() >= CLICKHOUSE.items()
    assert "" not in dict(shard.query(asked, {"codes": list(CODES)})).values()
