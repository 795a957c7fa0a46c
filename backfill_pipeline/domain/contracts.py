"""What goes between the operator side and the cluster side: env, the log line, workflow input, heartbeats.

Source: domain.md, "Contracts". Workers that are not ours keep the same ones, so nothing here may be renamed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NAMESPACE = "ingestion"
REINDEX_QUEUE = "reindex_conversations"
HEARTBEAT_TIMEOUT_SECONDS = 30  # of our own worker's activities; others' are in their workflow's history

ENV_START = "REINDEX_START_TIME"
ENV_END = "REINDEX_END_TIME"
ENV_CUSTOMERS = "RUN_ONLY_FOR_CUSTOMER_IDS"
ENV_MODE = "REINDEX_MODE"
ENV_MARKER = "REINDEX_MARKER"
ENV_ATTEMPT_ID = "REINDEX_ATTEMPT_ID"
ENV_PROCESS_BATCH_SIZE = "REINDEX_PROCESS_SCORECARDS_BATCH_SIZE"
ENV_PROCESS_MAX_ATTEMPTS = "REINDEX_PROCESS_SCORECARDS_MAX_ATTEMPTS"
ENV_PROCESS_HEARTBEAT_TIMEOUT = "REINDEX_PROCESS_SCORECARDS_HEARTBEAT_TIMEOUT"
# Ours, after the pattern of these two: a customer whose slices are slow is given longer, a cluster that is watched fails sooner.
ENV_CONVERSATIONS_MAX_ATTEMPTS = "REINDEX_CONVERSATIONS_MAX_ATTEMPTS"
ENV_CONVERSATIONS_HEARTBEAT_TIMEOUT = "REINDEX_CONVERSATIONS_HEARTBEAT_TIMEOUT"
ENV_LABEL_ENABLED = "ENABLE_LABEL_CONVERSATIONS_WITH_AGENT_ASSISTANCE"
ENV_LABEL_START = "LABEL_CONVERSATIONS_WITH_AGENT_ASSISTANCE_CONV_START_AT_RANGE_START"
ENV_LABEL_END = "LABEL_CONVERSATIONS_WITH_AGENT_ASSISTANCE_CONV_END_AT_RANGE_END"
ENV_LABEL_BATCH_SIZE = "LABEL_CONVERSATIONS_WITH_AGENT_ASSISTANCE_BATCH_SIZE"
ENV_LABEL_CUSTOMER = "FILTER_CUSTOMER_IN_LABEL_CONVERSATIONS_WITH_AGENT_ASSISTANCE"
# Ours: without it the range's start bounds both ends of a conversation, and rows of earlier days are written again too.
ENV_LABEL_END_FROM = "LABEL_CONVERSATIONS_WITH_AGENT_ASSISTANCE_CONV_END_AT_RANGE_START"

_LINE = re.compile(
    r"Created reindex conversations job: "
    r"name=customers/(?P<customer>[^/\s]+)/profiles/(?P<profile>[^/\s]+)/jobs/(?P<job>[^/\s,]+), "
    r"execution_id=(?P<execution>\S+), cluster=(?P<cluster>[A-Za-z0-9._-]+)"
)


@dataclass(frozen=True)
class Execution:
    """One job of the job service with its Temporal workflow: one per customer and profile."""

    customer: str
    profile: str
    job: str
    workflow_id: str
    cluster: str

    def log_line(self) -> str:
        name = f"customers/{self.customer}/profiles/{self.profile}/jobs/{self.job}"
        return (
            f"Created reindex conversations job: name={name}, execution_id={self.workflow_id}, cluster={self.cluster}"
        )


def execution_from_line(line: str) -> Execution | None:
    """The execution that a line of the cron task's log names, None for every other line."""
    found = _LINE.search(line)
    if not found:
        return None
    return Execution(found["customer"], found["profile"], found["job"], found["execution"], found["cluster"])


# A Job may print anything: Python refuses to read a number of thousands of digits, and no table has more rows than this.
_MOST_DIGITS = 18
_COUNT = rf"[0-9]{{1,{_MOST_DIGITS}}}(?![0-9])"
_LABELLED = re.compile(
    r"Labelled conversations: name=customers/(?P<customer>[^/\s]+)/profiles/(?P<profile>[^/\s,]+), "
    rf"done=(?P<done>{_COUNT}), total=(?P<total>{_COUNT})"
)


@dataclass(frozen=True)
class Labelled:
    """How far the label task is with a customer's profile: a line of its log, as it has no heartbeats."""

    customer: str
    profile: str
    done: int
    total: int

    def log_line(self) -> str:
        name = f"customers/{self.customer}/profiles/{self.profile}"
        return f"Labelled conversations: name={name}, done={self.done}, total={self.total}"


def labelled_from_line(line: str) -> Labelled | None:
    """The progress that a line of the label task's log tells, None for every other line."""
    found = _LABELLED.search(line)
    return Labelled(found["customer"], found["profile"], int(found["done"]), int(found["total"])) if found else None


@dataclass(frozen=True)
class ReindexInput:
    """Input of the reindex workflows. Times are RFC 3339; the range is `[start_time, end_time)`.

    Of the last four the tries and the heartbeat are every workflow's, the others process scorecards'; None: the workflow's own.
    """

    customer_id: str
    profile_id: str
    start_time: str  # inclusive
    end_time: str  # exclusive
    marker: str | None = None  # RFC 3339 with microseconds; None: the worker draws its own from its clock
    attempt_id: str | None = None
    reindex_batch_size: int | None = None  # ids of the first slice
    max_attempts: int | None = None
    heartbeat_timeout_seconds: float | None = None
    clean_up_before_write: bool = False

    @property
    def heartbeat_seconds(self) -> float:
        """How long the activity may be silent before Temporal takes it for dead, and it itself too."""
        return self.heartbeat_timeout_seconds or HEARTBEAT_TIMEOUT_SECONDS


@dataclass(frozen=True)
class Progress:
    """Where an execution is, in conversations (or process scorecards); `total` is None while it is still being counted."""

    done: int = 0
    failed: int = 0
    total: int | None = None

    def details(self, **more: Any) -> dict[str, Any]:
        """Heartbeat details in the contract's form; `more` stands beside it (our cursor), for those who know it."""
        state = {
            "ReindexedConversations": self.done,
            "FailedConversations": self.failed,
            "TotalConversationCount": self.total or 0,
        }
        return {"State": state, **more}


def progress_from(details: Mapping[str, Any] | None) -> Progress | None:
    """Progress from heartbeat details, ours or another worker's; None where they say nothing."""
    state = (details or {}).get("State")
    if not isinstance(state, Mapping):
        return None
    names = ("ReindexedConversations", "FailedConversations", "TotalConversationCount")
    try:
        done, failed, total = (int(state.get(name, 0)) for name in names)
    except (TypeError, ValueError, OverflowError):  # the last: JSON may hold Infinity
        return None
    is_meant = all(0 <= n < 10**_MOST_DIGITS for n in (done, failed, total))
    return Progress(done, failed, total or None) if is_meant else None
