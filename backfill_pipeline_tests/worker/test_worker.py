"""The worker as a process on real Temporal, PostgreSQL and ClickHouse: ended, killed, cancelled, and resumed."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.domain.contracts import REINDEX_QUEUE, ReindexInput, progress_from
from backfill_pipeline.domain.markers import row_version
from backfill_pipeline.domain.windows import parse_rfc3339
from backfill_pipeline.reach import TemporalAddress
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.worker.workflows.transferring import ReindexResult
from backfill_pipeline_tests.worker import cluster, people, targets

MARKER = "2026-02-01T12:00:00.123456Z"
ACME = ReindexInput("acme", "default", "2026-01-15T00:00:00Z", "2026-01-16T00:00:00Z", MARKER, "attempt-1")
ALL = {"conversation": 2000, "scorecard": 2000, "score": 6000}

Handle = WorkflowHandle[Any, ReindexResult]


@pytest.fixture
def config(tmp_path: Path, temporal: TemporalAddress, source: PostgresAddress, target: ClickHouse) -> Path:
    people.fill(source, count=2000)
    return cluster.write_config(tmp_path, temporal, source, target.address, slice_conversations=20)


async def started(temporal: TemporalAddress, reindex: ReindexInput = ACME) -> Handle:
    client = await Client.connect(temporal.address, namespace=temporal.namespace)
    return await client.start_workflow(
        "ReindexConversations",
        reindex,
        id=f"reindexconversations-acme-default-{uuid4()}",
        task_queue=REINDEX_QUEUE,
        result_type=ReindexResult,
    )


async def done_so_far(handle: Handle) -> int:
    """Conversations that the pending activity's heartbeat tells of."""
    description = await handle.describe()
    for pending in description.raw_description.pending_activities:
        details = await handle._client.data_converter.decode(pending.heartbeat_details.payloads)
        found = progress_from(details[0]) if details else None
        return found.done if found else 0
    return 0


async def until_half_way(handle: Handle, seconds: float = 60) -> int:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done = await done_so_far(handle)
        if 0 < done < 1500:
            return done
        await asyncio.sleep(0.02)
    raise TimeoutError("the transfer did not get half way")


def versions(target: ClickHouse) -> dict[int, int]:
    """Temporal attempt -> conversations whose row it wrote, as FINAL sees them."""
    marker = parse_rfc3339(MARKER)
    found = target.shards[0].query(
        "SELECT toUnixTimestamp64Micro(update_time) v, count() FROM conversation FINAL GROUP BY v"
    )
    micros = int(marker.timestamp()) * 10**6 + marker.microsecond
    assert row_version(marker, 1) == marker + timedelta(microseconds=1)
    return {int(v) - micros: int(n) for v, n in found}


def test_rows_would_lose_against_older_ones_without_the_markers_version(
    config: Path, temporal: TemporalAddress, target: ClickHouse
) -> None:
    async def run() -> ReindexResult:
        return await asyncio.wait_for((await started(temporal)).result(), 60)

    with cluster.worker(config):
        assert asyncio.run(run()) == ReindexResult(2000, 2000)
    assert targets.counts(target) == ALL
    assert versions(target) == {1: 2000}


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_t1_t2_t3_no_row_is_lost_when_the_worker_dies_in_mid_slice_and_its_retry_goes_on_from_the_cursor(
    config: Path, temporal: TemporalAddress, target: ClickHouse, how: str
) -> None:
    async def half(worker: "AbstractContextManager[Any]", end: Callable[[Any], None]) -> Handle:
        handle = await started(temporal)
        with worker as process:
            await until_half_way(handle)
            end(process)
            process.wait(60)
        return handle

    async def run() -> ReindexResult:
        handle = await half(cluster.worker(config), lambda process: getattr(process, how)())
        with cluster.worker(config):
            return await asyncio.wait_for(handle.result(), 90)

    assert asyncio.run(run()) == ReindexResult(2000, 2000)
    unique = (
        "SELECT uniqExact(conversation_id), (SELECT uniqExact(scorecard_id, criterion_id) FROM score) FROM conversation"
    )
    assert target.shards[0].query(unique) == [(2000, 6000)]
    written = versions(target)
    assert set(written) == {1, 2}
    assert sum(written.values()) == 2000


def test_a_cancelled_execution_ends_within_5_s_and_inserts_nothing_afterwards(
    config: Path, temporal: TemporalAddress, target: ClickHouse
) -> None:
    async def run() -> tuple[float, dict[str, int]]:
        handle = await started(temporal)
        await until_half_way(handle)
        begun = time.monotonic()
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        return time.monotonic() - begun, targets.counts(target)

    with cluster.worker(config):
        seconds, at_the_end = asyncio.run(run())
        time.sleep(2)
    assert seconds < 5
    assert targets.counts(target) == at_the_end
    assert 0 < at_the_end["conversation"] < 2000


def test_t5_a_cancelled_execution_ends_within_5_s_also_while_postgresql_hangs(
    config: Path, temporal: TemporalAddress, source: PostgresAddress
) -> None:
    async def run() -> float:
        handle = await started(temporal)
        await asyncio.sleep(3)
        begun = time.monotonic()
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
        return time.monotonic() - begun

    with Postgres(source).connection() as blocking, cluster.worker(config):
        blocking.execute("BEGIN")
        blocking.execute("LOCK TABLE app.chats IN ACCESS EXCLUSIVE MODE")
        assert asyncio.run(run()) < 5


def test_p8_a_column_missing_in_the_source_is_named_at_once_and_not_retried(
    config: Path, temporal: TemporalAddress, source: PostgresAddress
) -> None:
    with Postgres(source).connection() as connection:
        connection.execute("ALTER TABLE director.historic_scorecard_scores DROP COLUMN ai_value")

    async def run() -> BaseException:
        handle = await started(temporal)
        with pytest.raises(WorkflowFailureError) as failure:
            await asyncio.wait_for(handle.result(), 30)
        return failure.value

    with cluster.worker(config):
        error: Any = asyncio.run(run())
    assert "ai_value" in str(error.cause.cause)
    assert error.cause.cause.type == "missing"


def test_an_execution_without_a_customer_or_with_a_reversed_range_is_refused(
    config: Path, temporal: TemporalAddress
) -> None:
    async def failure_of(reindex: ReindexInput) -> str:
        with pytest.raises(WorkflowFailureError) as failure:
            await asyncio.wait_for((await started(temporal, reindex)).result(), 30)
        cause: Any = failure.value.cause
        return str(cause.cause.type)

    async def run() -> list[str]:
        empty = ReindexInput("", "default", ACME.start_time, ACME.end_time)
        reversed_ = ReindexInput("acme", "default", ACME.end_time, ACME.start_time)
        return [await failure_of(empty), await failure_of(reversed_)]

    with cluster.worker(config):
        assert asyncio.run(run()) == ["refused", "refused"]
