"""What the environment of the cron task `batch-reindex-conversations` asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from backfill_pipeline.domain import contracts
from backfill_pipeline.domain.contracts import ReindexInput
from backfill_pipeline.domain.datasets import CONVERSATIONS, PROCESS_SCORECARDS, Dataset
from backfill_pipeline.domain.windows import parse_duration, parse_rfc3339, rfc3339
from backfill_pipeline.worker.tasks.variables import positive, read, refused

MODES: Mapping[str, tuple[Dataset, ...]] = {
    "conversation": (CONVERSATIONS,),
    "process": (PROCESS_SCORECARDS,),
    "all": (CONVERSATIONS, PROCESS_SCORECARDS),
}
DEFAULT_MODE = "conversation"
DEFAULT_RANGE = timedelta(hours=24)


@dataclass(frozen=True)
class Process:
    """How process scorecards are reindexed: ids of the first slice, tries, and how long a try may be silent."""

    batch_size: int = 50
    max_attempts: int = 6
    heartbeat_timeout: timedelta = timedelta(minutes=5)


@dataclass(frozen=True)
class Conversations:
    """How conversations are reindexed: tries, and how long a try may be silent; None: the workflow's own."""

    max_attempts: int | None = None
    heartbeat_timeout: timedelta | None = None


@dataclass(frozen=True)
class Order:
    """What the environment asks for."""

    datasets: tuple[Dataset, ...]
    start: datetime  # inclusive
    end: datetime  # exclusive
    customers: tuple[str, ...] | None  # None: all
    marker: str | None
    attempt_id: str | None
    process: Process
    conversations: Conversations = Conversations()

    def input(self, dataset: Dataset, customer: str, profile: str) -> ReindexInput:
        """The input of an execution's workflow."""
        given = (customer, profile, rfc3339(self.start), rfc3339(self.end), self.marker, self.attempt_id)
        if dataset is not PROCESS_SCORECARDS:
            silent = self.conversations.heartbeat_timeout
            return ReindexInput(
                *given,
                max_attempts=self.conversations.max_attempts,
                heartbeat_timeout_seconds=silent.total_seconds() if silent else None,
            )
        process = self.process
        return ReindexInput(*given, process.batch_size, process.max_attempts, process.heartbeat_timeout.total_seconds())


def order_from(env: Mapping[str, str], now: datetime) -> Order:
    """The order that the environment gives.

    Raises:
        Refused: a mode, time, number or customer list that can't be used, by the name of its variable.
    """
    end = read(env, contracts.ENV_END, parse_rfc3339) or now
    start = read(env, contracts.ENV_START, parse_rfc3339) or end - DEFAULT_RANGE
    if not start < end:
        raise refused(contracts.ENV_START, rfc3339(start), f"it must come before {rfc3339(end)}, which is exclusive")
    marker = read(env, contracts.ENV_MARKER, parse_rfc3339)
    return Order(
        datasets=_mode(env.get(contracts.ENV_MODE, DEFAULT_MODE)),
        start=start,
        end=end,
        customers=_customers(env),
        marker=rfc3339(marker) if marker else None,
        attempt_id=env.get(contracts.ENV_ATTEMPT_ID) or None,
        process=_process(env),
        conversations=_of_conversations(env),
    )


def _of_conversations(env: Mapping[str, str]) -> Conversations:
    return Conversations(
        read(env, contracts.ENV_CONVERSATIONS_MAX_ATTEMPTS, positive),
        read(env, contracts.ENV_CONVERSATIONS_HEARTBEAT_TIMEOUT, parse_duration),
    )


def _process(env: Mapping[str, str]) -> Process:
    usual = Process()
    return Process(
        read(env, contracts.ENV_PROCESS_BATCH_SIZE, positive) or usual.batch_size,
        read(env, contracts.ENV_PROCESS_MAX_ATTEMPTS, positive) or usual.max_attempts,
        read(env, contracts.ENV_PROCESS_HEARTBEAT_TIMEOUT, parse_duration) or usual.heartbeat_timeout,
    )


def _mode(mode: str) -> tuple[Dataset, ...]:
    if mode not in MODES:
        raise refused(contracts.ENV_MODE, mode, f"the modes are {', '.join(MODES)}")
    return MODES[mode]


def _customers(env: Mapping[str, str]) -> tuple[str, ...] | None:
    """None only where the variable is not set: an empty list must not turn into everybody."""
    given = env.get(contracts.ENV_CUSTOMERS)
    if given is None:
        return None
    names = tuple(dict.fromkeys(name.strip() for name in given.split(",")))
    if "" in names:
        raise refused(contracts.ENV_CUSTOMERS, given, "a customer id in it is empty; leave it unset for all customers")
    return names
