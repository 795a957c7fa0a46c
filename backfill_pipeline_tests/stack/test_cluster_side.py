"""Temporal and the worker of a cluster, as the stack starts them."""

import asyncio
import io
import os
import signal
from collections.abc import Iterator

import psutil
import pytest
from rich.console import Console
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from backfill_pipeline.domain.contracts import NAMESPACE, REINDEX_QUEUE
from backfill_pipeline.stack.addresses import print_addresses
from backfill_pipeline.stack.embedded_config import StackCluster
from backfill_pipeline.stack.password import ensure_password
from backfill_pipeline.stack.state import StackState, last_state
from backfill_pipeline.stack.supervisor import Stack
from backfill_pipeline_tests.stack.foreground import everything_written, left_of, until


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackState]:
    clusters = (StackCluster("north", {"acme": ["default"]}),)
    parts = {"postgres", "gateways", "temporal", "workers"}
    with Stack(tmp_path_factory.mktemp("cluster"), clusters, parts=parts) as state:
        yield state
    assert left_of(state) == []


def pollers(state: StackState) -> int:
    return asyncio.run(_pollers(state.temporal["north"].address))


async def _pollers(address: str) -> int:
    client = await Client.connect(address, namespace=NAMESPACE)
    request = DescribeTaskQueueRequest(
        namespace=NAMESPACE,
        task_queue=TaskQueue(name=REINDEX_QUEUE),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    return len((await client.workflow_service.describe_task_queue(request)).pollers)


def test_a_workflow_finds_a_worker_once_the_stack_says_that_it_is_ready(stack: StackState) -> None:
    assert until(lambda: pollers(stack), "a poller", seconds=5) == 1


def test_nothing_of_temporal_or_the_worker_listens_beyond_loopback(stack: StackState) -> None:
    open_ports = [c.laddr for p in left_of(stack) for c in p.net_connections("inet") if c.status == "LISTEN"]
    assert len(open_ports) >= 4
    assert {address.ip for address in open_ports} == {"127.0.0.1"}


def test_a_worker_that_was_killed_is_there_again(stack: StackState) -> None:
    killed = stack.pids["worker-north"]
    os.kill(killed, signal.SIGKILL)

    def another() -> int | None:
        state = last_state(stack.folder)
        return state.pids.get("worker-north") if state and state.restarts else None

    assert until(another, "a new worker") != killed
    assert psutil.pid_exists(stack.pids["temporal-north"])


def test_the_password_stands_in_no_log_of_the_cluster_side(stack: StackState) -> None:
    password = ensure_password(stack.folder)
    assert [name for name, text in everything_written(stack.folder).items() if password in text] == []


def test_the_table_of_addresses_tells_where_everything_is_and_no_secret(stack: StackState) -> None:
    text = io.StringIO()
    print_addresses(stack, Console(file=text, width=200))
    for address in (stack.temporal["north"].address, stack.temporal["north"].ui, str(stack.gateways["north"][0])):
        assert address in text.getvalue()
    assert str(stack.postgres) in text.getvalue()
    assert ensure_password(stack.folder) not in text.getvalue()
