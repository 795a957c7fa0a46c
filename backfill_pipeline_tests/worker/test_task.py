"""The cron task as a process, against a real Temporal. No worker runs here, so what is started stays open."""

import asyncio
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from backfill_pipeline.config import TemporalAddress
from backfill_pipeline.domain import contracts
from backfill_pipeline.domain.contracts import Execution, execution_from_line
from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.worker import temporal as worker_temporal
from backfill_pipeline.worker.tasks import batch_reindex_conversations as task
from backfill_pipeline_tests.worker import cluster, servers

WINDOW = {"REINDEX_START_TIME": "2026-01-15T00:00:00Z", "REINDEX_END_TIME": "2026-01-17T00:00:00Z"}
CONVERSATIONS, PROCESS = "reindexconversations", "reindexprocessscorecards"
NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path, temporal: TemporalAddress) -> Path:
    return cluster.write_config(tmp_path, temporal)


def executions(output: str) -> list[Execution]:
    return [found for line in output.splitlines() if (found := execution_from_line(line))]


def connected(address: TemporalAddress) -> "asyncio.Future[Client]":
    return Client.connect(address.address, namespace=address.namespace)  # type: ignore[return-value]


Statuses = list[WorkflowExecutionStatus | None]


async def runs_of(address: TemporalAddress, workflow_id: str, expected: Statuses) -> Statuses:
    """What Temporal lists, once it is as expected, or in the end: the list lags behind."""
    client, end = await connected(address), time.monotonic() + 20
    await asyncio.sleep(1)  # for one too many to be listed
    while True:
        found = [w.status async for w in client.list_workflows(f"WorkflowId = '{workflow_id}'")]
        if found == expected or time.monotonic() > end:
            return found
        await asyncio.sleep(0.2)


def test_a_profile_left_out_would_stay_stale_so_each_customer_and_profile_gets_its_execution(config: Path) -> None:
    done = cluster.run_task(config, **WINDOW)
    assert done.returncode == 0, done.stderr
    found = executions(done.stdout)
    assert sorted((e.customer, e.profile, e.cluster) for e in found) == [
        ("acme", "default", "north"),
        ("globex", "default", "north"),
        ("globex", "emea", "north"),
    ]
    assert all(e.workflow_id.startswith(f"reindexconversations-{e.customer}-{e.profile}-") for e in found)


def test_t7_a_second_execution_is_not_started_while_the_attempts_first_one_runs(
    config: Path, temporal: TemporalAddress
) -> None:
    env = {**WINDOW, "REINDEX_ATTEMPT_ID": str(uuid4()), "RUN_ONLY_FOR_CUSTOMER_IDS": "acme"}
    first, second = cluster.run_task(config, **env), cluster.run_task(config, **env)
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert first.stdout == second.stdout
    (execution,) = executions(second.stdout)
    expected: Statuses = [WorkflowExecutionStatus.RUNNING]
    assert asyncio.run(runs_of(temporal, execution.workflow_id, expected)) == expected


def test_t7_a_second_execution_is_not_started_after_the_attempts_first_one_closed(
    config: Path, temporal: TemporalAddress
) -> None:
    env = {**WINDOW, "REINDEX_ATTEMPT_ID": str(uuid4()), "RUN_ONLY_FOR_CUSTOMER_IDS": "acme"}
    first = cluster.run_task(config, **env)
    (execution,) = executions(first.stdout)

    async def close() -> None:
        await (await connected(temporal)).get_workflow_handle(execution.workflow_id).terminate("test")

    asyncio.run(close())
    second = cluster.run_task(config, **env)
    assert (second.returncode, second.stdout) == (0, first.stdout)
    expected: Statuses = [WorkflowExecutionStatus.TERMINATED]
    assert asyncio.run(runs_of(temporal, execution.workflow_id, expected)) == expected


def test_runs_without_an_attempt_would_never_run_again_if_their_ids_were_fixed(config: Path) -> None:
    only = {**WINDOW, "RUN_ONLY_FOR_CUSTOMER_IDS": "acme"}
    ids = {executions(cluster.run_task(config, **only).stdout)[0].workflow_id for _ in range(2)}
    assert len(ids) == 2


def test_the_marker_would_be_lost_if_the_workflow_did_not_get_window_marker_and_attempt(
    config: Path, temporal: TemporalAddress
) -> None:
    env = {"REINDEX_MARKER": "2026-02-01T12:00:00.123456Z", "REINDEX_ATTEMPT_ID": str(uuid4())}
    done = cluster.run_task(config, **WINDOW, **env, RUN_ONLY_FOR_CUSTOMER_IDS="acme")
    (execution,) = executions(done.stdout)

    assert asyncio.run(input_of(temporal, execution)) == contracts.ReindexInput(
        "acme",
        "default",
        "2026-01-15T00:00:00Z",
        "2026-01-17T00:00:00Z",
        env["REINDEX_MARKER"],
        env["REINDEX_ATTEMPT_ID"],
    )


async def input_of(address: TemporalAddress, execution: Execution) -> contracts.ReindexInput:
    client = await connected(address)
    history = await client.get_workflow_handle(execution.workflow_id).fetch_history()
    payloads = history.events[0].workflow_execution_started_event_attributes.input.payloads
    (given,) = await client.data_converter.decode(payloads, [contracts.ReindexInput])
    return given


@pytest.mark.parametrize(("mode", "prefixes"), [("process", [PROCESS]), ("all", [CONVERSATIONS, PROCESS])])
def test_process_scorecards_would_stay_stale_so_their_mode_starts_executions_of_their_own(
    config: Path, mode: str, prefixes: list[str]
) -> None:
    done = cluster.run_task(config, **WINDOW, REINDEX_MODE=mode, RUN_ONLY_FOR_CUSTOMER_IDS="globex")
    assert done.returncode == 0, done.stderr
    started = [e.workflow_id for e in executions(done.stdout)]
    for profile in ("default", "emea"):
        for prefix in prefixes:
            assert len([i for i in started if i.startswith(f"{prefix}-globex-{profile}-")]) == 1
    assert len(started) == 2 * len(prefixes)


def test_a_payload_of_process_scorecards_is_not_lost_on_its_way_to_the_workflow(
    config: Path, temporal: TemporalAddress
) -> None:
    env = {
        "REINDEX_MODE": "process",
        "REINDEX_PROCESS_SCORECARDS_BATCH_SIZE": "7",
        "REINDEX_PROCESS_SCORECARDS_HEARTBEAT_TIMEOUT": "1m30s",
    }
    done = cluster.run_task(config, **WINDOW, **env, RUN_ONLY_FOR_CUSTOMER_IDS="acme")
    (execution,) = executions(done.stdout)
    given = asyncio.run(input_of(temporal, execution))
    assert (given.reindex_batch_size, given.max_attempts, given.heartbeat_timeout_seconds) == (7, 6, 90)
    assert not given.clean_up_before_write


def test_a_customer_with_slow_slices_is_not_taken_for_dead_before_the_time_that_its_job_gives(
    config: Path, temporal: TemporalAddress
) -> None:
    env = {
        "REINDEX_MODE": "conversation",
        "REINDEX_CONVERSATIONS_MAX_ATTEMPTS": "3",
        "REINDEX_CONVERSATIONS_HEARTBEAT_TIMEOUT": "5m",
    }
    done = cluster.run_task(config, **WINDOW, **env, RUN_ONLY_FOR_CUSTOMER_IDS="acme")
    (execution,) = executions(done.stdout)
    given = asyncio.run(input_of(temporal, execution))
    assert (given.max_attempts, given.heartbeat_seconds) == (3, 300)


def test_a_job_that_gives_no_patience_leaves_it_to_the_workflow() -> None:
    given = task.order_from(WINDOW, NOW).input(DATASETS["conversations"], "acme", "default")
    assert (given.max_attempts, given.heartbeat_timeout_seconds) == (None, None)


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"REINDEX_MODE": "conversations"}, "the modes are conversation, process, all"),
        ({"REINDEX_MODE": "process", "REINDEX_PROCESS_SCORECARDS_BATCH_SIZE": "0"}, "SCORECARDS_BATCH_SIZE"),
        ({"REINDEX_PROCESS_SCORECARDS_MAX_ATTEMPTS": "many"}, "REINDEX_PROCESS_SCORECARDS_MAX_ATTEMPTS"),
        ({"REINDEX_PROCESS_SCORECARDS_HEARTBEAT_TIMEOUT": "5"}, "REINDEX_PROCESS_SCORECARDS_HEARTBEAT_TIMEOUT"),
        ({"REINDEX_START_TIME": "2026-01-15"}, "REINDEX_START_TIME"),
        ({"REINDEX_END_TIME": "2026-01-15T00:00:00"}, "REINDEX_END_TIME"),
        ({"REINDEX_START_TIME": "2026-01-18T00:00:00Z"}, "REINDEX_START_TIME"),
        ({"RUN_ONLY_FOR_CUSTOMER_IDS": "hooli"}, "hooli"),
        ({"RUN_ONLY_FOR_CUSTOMER_IDS": ""}, "RUN_ONLY_FOR_CUSTOMER_IDS"),
        ({"BACKFILL_CLUSTER": "south"}, "south"),
        ({"BACKFILL_CLUSTER": ""}, "BACKFILL_CLUSTER"),
        ({"REINDEX_MARKER": "yesterday"}, "REINDEX_MARKER"),
    ],
)
def test_nothing_is_started_on_bad_input_and_it_is_named(config: Path, env: dict[str, str], named: str) -> None:
    done = cluster.run_task(config, **{**WINDOW, **env})
    assert (done.returncode, done.stdout) == (2, "")
    assert named in done.stderr
    assert "Next:" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REINDEX_PROCESS_SCORECARDS_MAX_ATTEMPTS", "99999999999"),  # Temporal refused it again and again, for ever
        ("REINDEX_PROCESS_SCORECARDS_BATCH_SIZE", "9" * 5000),
        ("REINDEX_PROCESS_SCORECARDS_BATCH_SIZE", "٣"),
        ("REINDEX_PROCESS_SCORECARDS_HEARTBEAT_TIMEOUT", "99999999999h"),
        ("REINDEX_PROCESS_SCORECARDS_HEARTBEAT_TIMEOUT", "1ns"),  # rounded to nothing, which meant the default
        ("REINDEX_PROCESS_SCORECARDS_HEARTBEAT_TIMEOUT", "٣h"),
        ("REINDEX_CONVERSATIONS_MAX_ATTEMPTS", "0"),  # Temporal's word for without an end
        ("REINDEX_CONVERSATIONS_HEARTBEAT_TIMEOUT", "30"),
        ("REINDEX_END_TIME", "0001-01-01T00:00:00Z"),
    ],
)
def test_a_value_that_nobody_can_hold_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(Refused, match=name):
        task.order_from({name: value}, NOW)


def test_d11_an_empty_list_of_customers_does_not_mean_all_of_them() -> None:
    with pytest.raises(Refused, match="RUN_ONLY_FOR_CUSTOMER_IDS"):
        task.order_from({"RUN_ONLY_FOR_CUSTOMER_IDS": "acme,"}, NOW)


def test_a_job_without_times_does_not_reindex_everything_but_the_last_day() -> None:
    order = task.order_from({}, NOW)
    assert (order.start, order.end, order.customers) == (datetime(2026, 1, 19, 12, tzinfo=UTC), NOW, None)


def test_the_other_executions_are_started_after_one_could_not_be(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The fault is made up: a real server can't be made to fail for one customer of three."""
    start = task._ensure_started

    async def failing(client: Client, wanted: task.Wanted) -> None:
        if wanted.execution.customer == "acme":
            raise RPCError("overloaded", RPCStatusCode.RESOURCE_EXHAUSTED, b"")
        await start(client, wanted)

    monkeypatch.setattr(task, "_ensure_started", failing)
    for name, value in cluster.environment(config, **WINDOW).items():
        monkeypatch.setenv(name, value)
    assert task.main() == 1
    printed = capsys.readouterr()
    assert {e.profile for e in executions(printed.out) if e.customer == "globex"} == {"default", "emea"}
    assert "acme" in printed.err
    assert "acme" not in printed.out


def test_a_job_ended_by_sigterm_says_so_and_leaves_no_one_waiting(tmp_path: Path) -> None:
    config = cluster.write_config(tmp_path, TemporalAddress(address=f"127.0.0.1:{servers.free_port()}"))
    command = [sys.executable, "-m", "backfill_pipeline.worker.tasks.batch_reindex_conversations"]
    env = cluster.environment(config, **WINDOW)
    with servers.ended(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)) as job:
        servers.wait_until(lambda: servers.catches(job, signal.SIGTERM), "the handler")
        job.terminate()
        _, errors = job.communicate(timeout=60)
    assert job.returncode == 143
    assert b"SIGTERM" in errors


def test_a_sigterm_in_the_moment_of_an_answer_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """`asyncio.wait_for` of Python 3.11 forgets such a cancel, and the Job would go on to start executions."""

    async def refused(_: TemporalAddress) -> None:
        await asyncio.sleep(0)
        connecting[0].cancel()
        raise RuntimeError("connection refused")

    async def ended_by_sigterm() -> None:
        connecting.append(asyncio.ensure_future(worker_temporal.connect(TemporalAddress(address="127.0.0.1:1"), 1)))
        await connecting[0]

    connecting: list[asyncio.Future[Client]] = []
    monkeypatch.setattr(worker_temporal, "_connected", refused)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(ended_by_sigterm())


def test_a_temporal_that_is_away_is_named_with_its_address_instead_of_waiting_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = servers.free_port()
    config = cluster.write_config(tmp_path, TemporalAddress(address=f"127.0.0.1:{port}"))
    for name, value in cluster.environment(config, **WINDOW).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(task.connect, "__defaults__", (2.0,))
    assert task.main() == 1
    assert f"127.0.0.1:{port}" in capsys.readouterr().err
