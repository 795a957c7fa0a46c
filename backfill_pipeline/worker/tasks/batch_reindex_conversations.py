"""Cron task `batch-reindex-conversations`: starts one workflow per customer and profile, and logs each.

Input is the environment, as domain.md gives it. Exit code 0: every execution was started or adopted; 1: some could
not be; 2: bad input, nothing was started; 143: ended by SIGTERM, what was logged goes on.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NoReturn
from uuid import UUID, uuid4

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from backfill_pipeline import config
from backfill_pipeline.config import EXIT_BAD_INPUT, Cluster, ConfigError, TemporalAddress
from backfill_pipeline.domain import contracts
from backfill_pipeline.domain.contracts import Execution, ReindexInput
from backfill_pipeline.domain.datasets import CONVERSATIONS
from backfill_pipeline.domain.errors import PipelineError, Refused
from backfill_pipeline.domain.naming import execution_uuid, workflow_id
from backfill_pipeline.domain.windows import parse_rfc3339, rfc3339
from backfill_pipeline.worker.temporal import RPC_TIMEOUT, connect

ENV_CLUSTER = "BACKFILL_CLUSTER"
MODE = "conversation"
MODES_TO_COME = ("process", "all")
DEFAULT_RANGE = timedelta(hours=24)
STARTS_AT_ONCE = 8  # with 10 s for each, a Temporal that hangs holds 260 executions up for 6 minutes
EXIT_SIGTERM = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Order:
    """What the environment asks for."""

    start: datetime  # inclusive
    end: datetime  # exclusive
    customers: tuple[str, ...] | None  # None: all
    marker: str | None
    attempt_id: str | None


def order_from(env: Mapping[str, str], now: datetime) -> Order:
    """The order that the environment gives.

    Raises:
        Refused: a mode, time or customer list that can't be used, by the name of its variable.
    """
    _refuse_mode(env.get(contracts.ENV_MODE, MODE))
    end = _time(env, contracts.ENV_END) or now
    start = _time(env, contracts.ENV_START) or end - DEFAULT_RANGE
    if not start < end:
        raise _refused(contracts.ENV_START, rfc3339(start), f"it must come before {rfc3339(end)}, which is exclusive")
    marker = _time(env, contracts.ENV_MARKER)
    return Order(
        start, end, _customers(env), rfc3339(marker) if marker else None, env.get(contracts.ENV_ATTEMPT_ID) or None
    )


def executions_of(cluster: Cluster, order: Order) -> tuple[tuple[Execution, ReindexInput], ...]:
    """One execution per customer and profile, with its workflow's input.

    Raises:
        ConfigError: the configuration does not know a customer.
    """
    names = order.customers if order.customers is not None else [c.id for c in cluster.customers]
    customers = [cluster.customer(name) for name in names]
    return tuple(_execution(cluster.name, c.id, profile, order) for c in customers for profile in c.profiles)


def main() -> int:
    try:
        order = order_from(os.environ, datetime.now(UTC))
        cluster = config.load_from_environment().cluster(_cluster_name())
        executions = executions_of(cluster, order)
        address = config.required(cluster.temporal, cluster.name, "temporal")
        return asyncio.run(_until_sigterm(address, executions))
    except PipelineError as error:
        print(error, file=sys.stderr, flush=True)
        return EXIT_BAD_INPUT if isinstance(error, ConfigError | Refused) else 1


async def _until_sigterm(address: TemporalAddress, executions: Iterable[tuple[Execution, ReindexInput]]) -> int:
    starting = asyncio.ensure_future(_start_all(address, executions))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, starting.cancel)
    try:
        return await starting
    except asyncio.CancelledError:
        print("Ended by SIGTERM: the executions logged above go on, the others were not started", file=sys.stderr)
        return EXIT_SIGTERM


async def _start_all(address: TemporalAddress, executions: Iterable[tuple[Execution, ReindexInput]]) -> int:
    """Starts each, also after one failed; 1 if any could not be started."""
    client = await connect(address)
    room = asyncio.Semaphore(STARTS_AT_ONCE)
    started = await asyncio.gather(*(_start(client, room, address, *wanted) for wanted in executions))
    return 0 if all(started) else 1


async def _start(
    client: Client, room: asyncio.Semaphore, address: TemporalAddress, execution: Execution, reindex: ReindexInput
) -> bool:
    """Starts and logs one; False after a failure, which is said on stderr and leaves the others alone."""
    async with room:
        try:
            await _ensure_started(client, execution, reindex)
        except RPCError as error:
            print(_not_started(execution, address, error), file=sys.stderr, flush=True)
            return False
    print(execution.log_line(), flush=True)
    return True


async def _ensure_started(client: Client, execution: Execution, reindex: ReindexInput) -> None:
    """Starts it, or finds that this attempt did so before: running or closed, there is never a second one (trap T7)."""
    try:
        await client.start_workflow(
            CONVERSATIONS.workflow_type,
            reindex,
            id=execution.workflow_id,
            task_queue=contracts.REINDEX_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            rpc_timeout=RPC_TIMEOUT,
        )
    except WorkflowAlreadyStartedError:
        return  # it is closed; its outcome is for whoever follows it to judge


def _execution(cluster: str, customer: str, profile: str, order: Order) -> tuple[Execution, ReindexInput]:
    uuid = _uuid(order, customer, profile)
    identity = workflow_id(CONVERSATIONS.workflow_prefix, customer, profile, uuid)
    reindex = ReindexInput(customer, profile, rfc3339(order.start), rfc3339(order.end), order.marker, order.attempt_id)
    return Execution(customer, profile, str(uuid), identity, cluster), reindex


def _uuid(order: Order, customer: str, profile: str) -> UUID:
    if order.attempt_id is None:
        return uuid4()
    return execution_uuid(order.attempt_id, CONVERSATIONS.workflow_prefix, customer, profile)


def _cluster_name() -> str:
    if not os.environ.get(ENV_CLUSTER):
        raise config.missing_variable(ENV_CLUSTER)
    return os.environ[ENV_CLUSTER]


def _customers(env: Mapping[str, str]) -> tuple[str, ...] | None:
    """None only where the variable is not set: an empty list must not turn into everybody."""
    given = env.get(contracts.ENV_CUSTOMERS)
    if given is None:
        return None
    names = tuple(dict.fromkeys(name.strip() for name in given.split(",")))
    if "" in names:
        raise _refused(contracts.ENV_CUSTOMERS, given, "a customer id in it is empty; leave it unset for all customers")
    return names


def _time(env: Mapping[str, str], name: str) -> datetime | None:
    if not env.get(name):
        return None
    try:
        return parse_rfc3339(env[name])
    except Refused as error:
        raise _refused(name, env[name], error.why) from None


def _refuse_mode(mode: str) -> None:
    if mode in MODES_TO_COME:
        raise _refused(contracts.ENV_MODE, mode, "process scorecards are not there yet")
    if mode != MODE:
        raise _refused(contracts.ENV_MODE, mode, f"the modes are {', '.join([MODE, *MODES_TO_COME])}")


def _refused(variable: str, value: str, why: str) -> Refused:
    return Refused(
        f"{variable} can't be used",
        where=f"environment, {variable}={value!r}",
        why=why,
        next_step=f"correct {variable}; nothing was started",
    )


def _not_started(execution: Execution, address: TemporalAddress, error: RPCError) -> str:
    failure = PipelineError(
        f"The execution of {execution.customer}/{execution.profile} could not be started",
        where=f"Temporal {address.address}",
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
