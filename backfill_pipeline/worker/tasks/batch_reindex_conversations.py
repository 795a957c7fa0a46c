"""Cron task `batch-reindex-conversations`: starts one workflow per customer, profile and dataset, and logs each.

Input is the environment, as domain.md gives it. Exit code 0: every execution was started or adopted; 1: some could
not be; 2: bad input, nothing was started; 143: ended by SIGTERM, what was logged goes on.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn
from uuid import UUID, uuid4

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from backfill_pipeline import config
from backfill_pipeline.clients.port_forward.forwarded import forwarded
from backfill_pipeline.config import EXIT_BAD_INPUT, Cluster, ConfigError, TemporalAddress
from backfill_pipeline.domain import contracts
from backfill_pipeline.domain.contracts import Execution, ReindexInput
from backfill_pipeline.domain.datasets import Dataset, WorkflowKind
from backfill_pipeline.domain.errors import PipelineError, Refused
from backfill_pipeline.domain.naming import execution_uuid, workflow_id
from backfill_pipeline.worker.tasks.order import Order, order_from
from backfill_pipeline.worker.temporal import RPC_TIMEOUT, connect

ENV_CLUSTER = "BACKFILL_CLUSTER"
STARTS_AT_ONCE = 8  # with 10 s for each, a Temporal that hangs holds 260 executions up for 6 minutes
EXIT_SIGTERM = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Wanted:
    """An execution that is to be started, and its workflow."""

    execution: Execution
    workflow_type: str
    input: ReindexInput


def executions_of(cluster: Cluster, order: Order) -> tuple[Wanted, ...]:
    """One execution per customer, profile and dataset, with what starts it.

    Raises:
        ConfigError: the configuration does not know a customer.
    """
    names = order.customers if order.customers is not None else [c.id for c in cluster.customers]
    customers = [cluster.customer(name) for name in names]
    return tuple(
        _execution(cluster.name, c.id, profile, dataset, order)
        for c in customers
        for profile in c.profiles
        for dataset in order.datasets
    )


def main() -> int:
    try:
        order = order_from(os.environ, datetime.now(UTC))
        cluster = config.load_from_environment().cluster(_cluster_name())
        executions = executions_of(cluster, order)
        with forwarded(cluster, ["temporal"]) as reached:
            address = config.required(reached.temporal, cluster.name, "temporal")
            return asyncio.run(_until_sigterm(address, executions))
    except PipelineError as error:
        print(error, file=sys.stderr, flush=True)
        return EXIT_BAD_INPUT if isinstance(error, ConfigError | Refused) else 1


async def _until_sigterm(address: TemporalAddress, executions: Iterable[Wanted]) -> int:
    starting = asyncio.ensure_future(_start_all(address, executions))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, starting.cancel)
    try:
        return await starting
    except asyncio.CancelledError:
        print("Ended by SIGTERM: the executions logged above go on, the others were not started", file=sys.stderr)
        return EXIT_SIGTERM


async def _start_all(address: TemporalAddress, executions: Iterable[Wanted]) -> int:
    """Starts each, also after one failed; 1 if any could not be started."""
    client = await connect(address)
    room = asyncio.Semaphore(STARTS_AT_ONCE)
    started = await asyncio.gather(*(_start(client, room, address, wanted) for wanted in executions))
    return 0 if all(started) else 1


async def _start(client: Client, room: asyncio.Semaphore, address: TemporalAddress, wanted: Wanted) -> bool:
    """Starts and logs one; False after a failure, which is said on stderr and leaves the others alone."""
    async with room:
        try:
            await _ensure_started(client, wanted)
        except RPCError as error:
            print(_not_started(wanted.execution, address, error), file=sys.stderr, flush=True)
            return False
    print(wanted.execution.log_line(), flush=True)
    return True


async def _ensure_started(client: Client, wanted: Wanted) -> None:
    """Starts it, or finds that this attempt did so before: running or closed, there is never a second one (trap T7)."""
    try:
        await client.start_workflow(
            wanted.workflow_type,
            wanted.input,
            id=wanted.execution.workflow_id,
            task_queue=contracts.REINDEX_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            rpc_timeout=RPC_TIMEOUT,
        )
    except WorkflowAlreadyStartedError:
        return  # it is closed; its outcome is for whoever follows it to judge


def _execution(cluster: str, customer: str, profile: str, dataset: Dataset, order: Order) -> Wanted:
    workflow = dataset.workflow
    assert workflow is not None  # the modes name none that is not followed in Temporal
    uuid = _uuid(order, workflow, customer, profile)
    identity = workflow_id(workflow.prefix, customer, profile, uuid)
    execution = Execution(customer, profile, str(uuid), identity, cluster)
    return Wanted(execution, workflow.type, order.input(dataset, customer, profile))


def _uuid(order: Order, workflow: WorkflowKind, customer: str, profile: str) -> UUID:
    if order.attempt_id is None:
        return uuid4()
    return execution_uuid(order.attempt_id, workflow.prefix, customer, profile, order.start)


def _cluster_name() -> str:
    if not os.environ.get(ENV_CLUSTER):
        raise config.missing_variable(ENV_CLUSTER)
    return os.environ[ENV_CLUSTER]


def _not_started(execution: Execution, address: TemporalAddress, error: RPCError) -> str:
    failure = PipelineError(
        f"The execution of {execution.customer}/{execution.profile} could not be started",
        where=f"Temporal {address}",
        why=f"{error.status.name}: {error.message[:300]}",
        next_step="run the Job again: with the same attempt id it adopts those that run",
    )
    return str(failure)


def exit_with(code: int) -> NoReturn:
    """End without taking the interpreter down: the SDK's threads call into it, and 1 in 8 tasks died of SIGSEGV then."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    exit_with(main())
