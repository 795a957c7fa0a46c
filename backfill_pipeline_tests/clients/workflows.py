"""Workflows that tests start by themselves on the stack's Temporal; all of them are ended afterwards.

Those of a type without a worker stay as they were started; others run in a worker of the test's own queue.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from backfill_pipeline.config import TemporalAddress
from backfill_pipeline.domain.contracts import Progress, ReindexInput
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.windows import Window, rfc3339

T = TypeVar("T")
CLUMSY = "MadeUpClumsy"
DOOMED = "MadeUpDoomed"
SHED = "MadeUpShedding"
QUEUE = f"made-up-{uuid4()}"
NOBODYS_QUEUE = f"nobody-{uuid4()}"
FAILURES = {
    "deadlock": PipelineError(
        "PostgreSQL failed: deadlock",
        where="postgresql://db.example:5432/app",
        why="a long story",
        next_step="try again",
        kind=Kind.RETRY,
        code="40P01",
    ),
    "passing": PipelineError("It failed", where="here", why="nobody knows", next_step="try again", kind=Kind.RETRY),
    "stopped": PipelineError("It failed", where="here", why="it always does", next_step="read the message"),
    "refused": Refused("The range is empty", where="here", why="its end is its start", next_step="name a day"),
}


def an_input(customer: str, profile: str, window: Window, attempt_id: str | None, **changes: Any) -> ReindexInput:
    start, end = rfc3339(window.start_time), rfc3339(window.end_time)
    fields = {"start_time": start, "end_time": end, "attempt_id": attempt_id, **changes}
    return ReindexInput(customer_id=customer, profile_id=profile, **fields)


@activity.defn(name="clumsy")
async def clumsy(behaviour: str) -> None:
    """Heartbeats once, then does as it was told."""
    activity.heartbeat(Progress(40, 2, 100).details(Cursor={"day": "2026-01-15"}))
    if behaviour == "fail":
        raise ApplicationError("the source is away", non_retryable=True)
    if behaviour == "stumble" and activity.info().attempt == 1:
        raise ApplicationError("deadlock detected")
    if behaviour in FAILURES:
        raise _as_the_worker_does(FAILURES[behaviour])
    if behaviour == "silent":
        await asyncio.sleep(30)
    while behaviour in ("hang", "stumble", "drag"):
        await asyncio.sleep(0.1)
        activity.heartbeat(Progress(40, 2, 100).details())


def _as_the_worker_does(error: PipelineError) -> ApplicationError:
    raised = ApplicationError(str(error), type=error.kind.value)
    raised.__cause__ = error
    return raised


@workflow.defn(name=CLUMSY)
class Clumsy:
    @workflow.run
    async def run(self, behaviour: str) -> None:
        await workflow.execute_activity(
            clumsy,
            behaviour,
            start_to_close_timeout=timedelta(seconds=60),
            heartbeat_timeout=timedelta(seconds=5),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=50)),
        )


ONE_SECOND = timedelta(seconds=1)
# What fails an activity that gets one try, by behaviour.
SHORT: dict[str, dict[str, Any]] = {
    "silent": {"heartbeat_timeout": ONE_SECOND, "start_to_close_timeout": timedelta(seconds=20)},
    "hang": {"start_to_close_timeout": ONE_SECOND},
    "drag": {"schedule_to_close_timeout": ONE_SECOND},
    "queue": {
        "schedule_to_start_timeout": ONE_SECOND,
        "start_to_close_timeout": timedelta(seconds=20),
        "task_queue": NOBODYS_QUEUE,
    },
}


@workflow.defn(name=DOOMED)
class Doomed:
    """One try with short time-outs; as `parent` it waits for a child that hangs."""

    @workflow.run
    async def run(self, behaviour: str) -> None:
        if behaviour == "parent":
            await workflow.execute_child_workflow(CLUMSY, "hang", id=f"{workflow.info().workflow_id}-child")
            return
        limits = SHORT.get(behaviour, {"start_to_close_timeout": timedelta(seconds=20)})
        await workflow.execute_activity(clumsy, behaviour, retry_policy=RetryPolicy(maximum_attempts=1), **limits)


@workflow.defn(name=SHED)
class Shedding:
    """Sheds its history once, as a long execution of another worker does, and then waits."""

    @workflow.run
    async def run(self, given: ReindexInput) -> None:
        if workflow.info().continued_run_id is None:
            workflow.continue_as_new(given)
        await workflow.wait_condition(lambda: False)


class Started:
    """Starts workflows from plain tests: a client in an event loop of a thread of its own."""

    def __init__(self, address: TemporalAddress) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.client = self.wait(Client.connect(address.address, namespace=address.namespace))
        self._ids: list[str] = []

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def start(self, kind: str, given: Any, *, queue: str = NOBODYS_QUEUE, **how: Any) -> str:
        """The new workflow's id."""
        workflow_id = how.pop("id", f"made-up-{uuid4()}")
        self._ids.append(workflow_id)
        self.wait(self.client.start_workflow(kind, given, id=workflow_id, task_queue=queue, **how))
        return str(workflow_id)

    def terminate(self, workflow_id: str, reason: str = "the test is over") -> None:
        self.wait(self.client.get_workflow_handle(workflow_id).terminate(reason=reason))

    @contextmanager
    def worker(self) -> Iterator[None]:
        worker = Worker(
            self.client,
            task_queue=QUEUE,
            workflows=[Clumsy, Doomed, Shedding],
            activities=[clumsy],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_heartbeat_throttle_interval=timedelta(milliseconds=100),
        )
        self.wait(worker.__aenter__())
        try:
            yield
        finally:
            self.end_all()
            self.wait(worker.__aexit__(None, None, None))

    def end_all(self) -> None:
        for workflow_id in self._ids:
            with suppress(RPCError):
                self.terminate(workflow_id)

    def close(self) -> None:
        self.end_all()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


class Forward:
    """A port-forward that can break: a port of its own whose connections go to an address while it is open.

    delay: seconds that each piece takes, in either direction.
    """

    def __init__(self, address: str, *, delay: float = 0) -> None:
        self._delay = delay
        host, port = address.rsplit(":", 1)
        self._to = (host, int(port))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._sockets: list[socket.socket] = []

    def open(self) -> None:
        server = socket.create_server(("127.0.0.1", self.port))
        self._sockets.append(server)
        threading.Thread(target=self._serve, args=(server,), daemon=True).start()

    def close(self) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._sockets.clear()

    def _serve(self, server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                here, _ = server.accept()
                there = socket.create_connection(self._to)
                self._sockets += [here, there]
                for one, other in ((here, there), (there, here)):
                    threading.Thread(target=_copy, args=(one, other, self._delay), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket, delay: float) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            time.sleep(delay)
            target.sendall(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def polled(ask: Callable[[], T], is_enough: Callable[[T], bool], seconds: float = 20) -> T:
    """Temporal's visibility lags behind; asks until it is enough, or gives the last answer."""
    from time import monotonic, sleep

    end, answer = monotonic() + seconds, ask()
    while not is_enough(answer) and monotonic() < end:
        sleep(0.1)
        answer = ask()
    return answer
