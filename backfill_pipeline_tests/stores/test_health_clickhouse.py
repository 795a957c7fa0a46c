"""What ClickHouse says of its health: parts, mutations and memory of every replica, and which replicas are away."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from backfill_pipeline.config import ClickHouseAddress, Replica, Shard
from backfill_pipeline.domain.health import Reading, Signal, Signals
from backfill_pipeline.stores import health, mutations
from backfill_pipeline.stores.clickhouse import ClickHouse, ShardStore
from backfill_pipeline.stores.health import OF_CLICKHOUSE, clickhouse_health
from backfill_pipeline_tests.stores.rows import a_delete, put
from backfill_pipeline_tests.worker.servers import free_port

TABLES = ["conversation", "score"]
EACH = (Signal.PARTS, Signal.MUTATIONS, Signal.MEMORY)  # of a replica


def values(signal: Signal, signals: Signals) -> list[float | None]:
    return [r.value for r in signals if r.signal is signal]


def of(clickhouse: ClickHouse, signal: Signal) -> list[float | None]:
    """By shard."""
    return values(signal, clickhouse_health(clickhouse.address, TABLES))


def with_replicas(address: ClickHouseAddress, *replicas: Replica) -> ClickHouseAddress:
    """The first shard alone, with these replicas beside its own."""
    own = address.shards[0].replicas
    return address.model_copy(update={"shards": [Shard(replicas=[*replicas, *own])]})


def nobody() -> Replica:
    return Replica(host="127.0.0.1", port=free_port())


@contextmanager
def no_merges(shard: ShardStore, table: str) -> Iterator[None]:
    shard.client().command(f"SYSTEM STOP MERGES {table}")
    try:
        yield
    finally:
        shard.client().command(f"SYSTEM START MERGES {table}")


def test_parts_that_pile_up_are_seen_on_their_shard_in_their_partition(target: ClickHouse) -> None:
    one, _ = target.shards
    assert of(target, Signal.PARTS) == [0, 0]
    with no_merges(one, "conversation"):
        for day in range(1, 8):
            put(one, day=day, conversation_id=str(day))
        put(one, conversation_start_time="2026-02-01 00:00:00.000", conversation_id="another month")
        assert of(target, Signal.PARTS) == [7, 0]


def test_parts_and_mutations_of_tables_that_nobody_rebuilds_keep_no_run_waiting(target: ClickHouse) -> None:
    one, _ = target.shards
    with no_merges(one, "scorecard"):
        for n in range(3):
            put(one, "scorecard", scorecard_id=str(n))
        mutations.submit(one, a_delete("scorecard"), method="lightweight")
        assert of(target, Signal.PARTS) == [0, 0]
        assert of(target, Signal.MUTATIONS) == [0, 0]


def test_mutations_that_do_not_end_are_seen_and_those_that_did_are_not(target: ClickHouse) -> None:
    one, _ = target.shards
    put(one)
    put(one, "score", scorecard_id="s", criterion_id="c")
    with no_merges(one, "conversation"), no_merges(one, "score"):
        for table in TABLES:
            mutations.submit(one, a_delete(table), method="lightweight")
        assert of(target, Signal.MUTATIONS) == [2, 0]
    for table in TABLES:
        mutations.wait(one, a_delete(table), deadline_seconds=20, poll_seconds=0.05)
    assert of(target, Signal.MUTATIONS) == [0, 0]


def test_memory_is_a_share_of_what_the_server_allows_itself(target: ClickHouse) -> None:
    used = of(target, Signal.MEMORY)
    assert all(u is not None and 0 < u < 0.9 for u in used)


def test_a_plain_table_has_no_replica_that_could_be_inactive(target: ClickHouse) -> None:
    assert of(target, Signal.INACTIVE_REPLICAS) == [0, 0]


def test_a_replica_that_does_not_answer_is_inactive_and_hides_nothing_of_the_others(target: ClickHouse) -> None:
    away = nobody()
    signals = clickhouse_health(with_replicas(target.address, away), TABLES)
    assert [len(values(s, signals)) for s in EACH] == [1, 1, 1]
    assert None not in values(Signal.MEMORY, signals)
    (inactive,) = (r for r in signals if r.signal is Signal.INACTIVE_REPLICAS)
    assert inactive.value == 1
    assert str(away) in inactive.server
    assert "Connection refused" in inactive.why


def test_a_shard_that_nobody_reaches_is_unknown_and_no_crash(target: ClickHouse) -> None:
    dead = Shard(replicas=[nobody()])
    address = target.address.model_copy(update={"shards": [dead, *target.address.shards[1:]]})
    signals = clickhouse_health(address, TABLES)
    assert [values(s, signals)[0] for s in OF_CLICKHOUSE] == [None] * len(OF_CLICKHOUSE)
    assert all("Connection refused" in r.why for r in signals if r.value is None)
    assert all(values(s, signals)[1] is not None for s in OF_CLICKHOUSE)


def test_a_system_table_that_the_server_refuses_is_unknown_with_its_reason_and_the_rest_stays_known(
    target: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This engine knows no users, but there is a system table that it has not: refused just like a forbidden one.
    real = health._statement
    refused = "SELECT 'clickhouse_memory_ratio', max(value) FROM system.asynchronous_metrics"
    monkeypatch.setattr(health, "_statement", lambda s: refused if s is Signal.MEMORY else real(s))
    signals = clickhouse_health(target.address, TABLES)
    unknown: list[Reading] = [r for r in signals if r.value is None]
    assert [r.signal for r in unknown] == [Signal.MEMORY] * 2
    assert all("asynchronous_metrics" in r.why for r in unknown)


def test_a_database_that_is_not_there_is_unknown_and_not_empty(target: ClickHouse) -> None:
    signals = clickhouse_health(target.address.model_copy(update={"database": "nowhere"}), TABLES)
    assert {r.value for r in signals} == {None}
