"""The datasets: what is reindexed, where it comes from and where it goes. A dataset is one entry here.

Source: domain.md, "The three datasets". Steps and Dagster definitions loop over these entries and know none by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from backfill_pipeline.domain import contracts
from backfill_pipeline.domain.windows import Window, rfc3339


class Content(StrEnum):
    """How a column's value is written into a row's fingerprint, alike in both engines."""

    TEXT = "text"
    INTEGER = "integer"
    FLOAT = "float"  # by its IEEE bits: the engines print floats differently
    MOMENT = "moment"  # milliseconds since 1970, rounded down
    FLAG = "flag"
    TEXTS = "texts"  # an array of text, in its order


@dataclass(frozen=True)
class Target:
    """A local table of ClickHouse that a dataset writes.

    ids: columns that identify a row for people; two rows of one id are a duplicate, wherever they lie.
    day_column: the time whose UTC day is the partition, and by which rows are sharded.
    version: the ReplacingMergeTree's version column.
    only: a constant predicate that tells this dataset's rows from others' in a shared table.
    sort_keys: the forms that the table's sorting key may have; which one is there is read from the server.
    content: columns beside the ids whose values must be the source's.
    moves: the day column may change in the source. A row that was written under an earlier value then lies on another
        day, where neither the window's delete nor FINAL reaches it, so its id is looked for over all days and shards.
    """

    table: str
    ids: tuple[str, ...]
    day_column: str
    only: str
    sort_keys: tuple[tuple[str, ...], ...]
    content: Mapping[str, Content] = field(repr=False)
    version: str = "update_time"
    moves: bool = False

    @property
    def named_by(self) -> str:
        """The id column, after customer and profile, by which people find the row: its own, or of what it hangs on."""
        return self.ids[2]


class Check(StrEnum):
    """What is asked of a dataset's days; each is an asset check of its own."""

    COUNT_PARITY = "count_parity"
    DUPLICATES = "duplicates"
    TEMPLATE_COVERAGE = "template_coverage"
    ONE_TO_ONE = "one_to_one"
    ACTIVE_DAYS = "active_days"
    QUARANTINE = "quarantine"


@dataclass(frozen=True)
class WorkflowKind:
    """The Temporal workflow that a dataset's executions are. prefix: of their ids."""

    type: str
    prefix: str


@dataclass(frozen=True)
class Pair:
    """Another table that must hold the same ids: its rows whose `moment` is set, whatever their own day is."""

    table: str
    moment: str


EnvOf = Callable[[Window, str, timedelta], Mapping[str, str]]
"""(window, customer, longest conversation) -> env of the Job."""


@dataclass(frozen=True)
class Dataset:
    """An entry. workflow: None where the Job itself does the work, and is what is followed.

    upstream: datasets whose same day comes first. pair: what `one_to_one` compares with.
    reaches_back: the Job looks for conversations that began before the window, by the longest that is allowed.
    """

    name: str
    unit: str  # what an execution counts, in the plural
    description: str
    cronjob: str
    workflow: WorkflowKind | None
    sources: tuple[str, ...]  # PostgreSQL tables, as `schema.table`
    targets: tuple[Target, ...]  # the first one holds the dataset's own ids
    env: EnvOf = field(repr=False)
    checks: tuple[Check, ...]
    upstream: tuple[str, ...] = ()
    pair: Pair | None = None
    reaches_back: bool = False

    @property
    def main(self) -> Target:
        return self.targets[0]


def _reindex_env(mode: str) -> EnvOf:
    def env(window: Window, customer: str, longest: timedelta) -> Mapping[str, str]:
        return {
            contracts.ENV_MODE: mode,
            contracts.ENV_START: rfc3339(window.start_time),
            contracts.ENV_END: rfc3339(window.end_time),
            contracts.ENV_CUSTOMERS: customer,
        }

    return env


def _label_env(window: Window, customer: str, longest: timedelta) -> Mapping[str, str]:
    """A conversation over midnight began before the window in which it ended, so the range begins earlier."""
    return {
        contracts.ENV_LABEL_ENABLED: "true",
        contracts.ENV_LABEL_START: rfc3339(window.start_time - longest),
        contracts.ENV_LABEL_END_FROM: rfc3339(window.start_time),
        contracts.ENV_LABEL_END: rfc3339(window.end_time),
        contracts.ENV_LABEL_CUSTOMER: customer,
    }


_COMMON_CHECKS = (Check.COUNT_PARITY, Check.DUPLICATES, Check.QUARANTINE)
_BY_CONVERSATION = "conversation_id != ''"
_KEY = ("customer_id", "profile_id", "toDate(conversation_start_time)")

CONVERSATIONS = Dataset(
    name="conversations",
    unit="conversations",
    description="Conversations, their scorecards and scores, by the day on which the conversation started.",
    cronjob="cron-batch-reindex-conversations",
    workflow=WorkflowKind("ReindexConversations", "reindexconversations"),
    sources=("app.chats", "director.scorecards", "director.historic_scorecard_scores"),
    targets=(
        Target(
            "conversation",
            ids=("customer_id", "profile_id", "conversation_id"),
            day_column="conversation_start_time",
            only=_BY_CONVERSATION,
            sort_keys=((*_KEY, "conversation_id"),),
            content={
                "chat_id": Content.TEXT,
                "agent_user_id": Content.TEXT,
                "conversation_start_time": Content.MOMENT,
                "conversation_end_time": Content.MOMENT,
            },
        ),
        Target(
            "scorecard",
            ids=("customer_id", "profile_id", "scorecard_id"),
            day_column="conversation_start_time",
            only=_BY_CONVERSATION,
            sort_keys=((*_KEY, "scorecard_id"),),
            content={
                "conversation_id": Content.TEXT,
                "conversation_start_time": Content.MOMENT,
                "template_id": Content.TEXT,
                "template_revision": Content.INTEGER,
                "submission_source": Content.INTEGER,
                "agent_user_id": Content.TEXT,
                "creator_user_id": Content.TEXT,
                "score": Content.FLOAT,
                "scorecard_time": Content.MOMENT,
                "submitted_at": Content.MOMENT,
            },
        ),
        Target(
            "score",
            ids=("customer_id", "profile_id", "scorecard_id", "criterion_id"),
            day_column="conversation_start_time",
            only=_BY_CONVERSATION,
            sort_keys=((*_KEY, "scorecard_id", "criterion_id"),),
            content={
                "conversation_id": Content.TEXT,
                "conversation_start_time": Content.MOMENT,
                "numeric_value": Content.FLOAT,
                "ai_value": Content.FLOAT,
                "text_value": Content.TEXT,
                "not_applicable": Content.FLAG,
                "weight": Content.FLOAT,
            },
        ),
    ),
    env=_reindex_env("conversation"),
    checks=(*_COMMON_CHECKS, Check.TEMPLATE_COVERAGE),
)

PROCESS_SCORECARDS = Dataset(
    name="process_scorecards",
    unit="process scorecards",
    description="Scorecards that hang on no conversation (templates of type 2) and their scores, by the day of their time.",
    cronjob="cron-batch-reindex-conversations",
    workflow=WorkflowKind("ReindexProcessScorecards", "reindexprocessscorecards"),
    sources=(
        "director.scorecards",
        "director.scorecard_template_revisions",
        "director.historic_scorecard_scores",
    ),
    # The same tables, told apart by nothing but this predicate: neither dataset's delete touches a row of the other.
    targets=tuple(replace(t, only="conversation_id = ''") for t in CONVERSATIONS.targets if t.table != "conversation"),
    env=_reindex_env("process"),
    checks=(*_COMMON_CHECKS, Check.TEMPLATE_COVERAGE),
)

_LABEL_IDS = ("conversation_id", "customer_id", "profile_id")
LABELS = Dataset(
    name="labels",
    unit="conversations",
    description="Ended conversations with their labels, by the day on which the conversation ended.",
    cronjob="cron-label-conversations",
    workflow=None,
    sources=("app.chats", "app.agent_assist_events"),
    targets=(
        Target(
            "conversation_with_labels",
            ids=("customer_id", "profile_id", "conversation_id"),
            day_column="conversation_end_time",
            only="1",
            sort_keys=(
                # Older: hour and agent change, and a changed conversation is then a second row that FINAL keeps.
                ("toStartOfHour(conversation_end_time)", "agent_user_id", *_LABEL_IDS),
                ("conversation_start_time", *_LABEL_IDS),
            ),
            content={
                "agent_user_id": Content.TEXT,
                "conversation_start_time": Content.MOMENT,
                "conversation_end_time": Content.MOMENT,
                "labels": Content.TEXTS,
                "agent_assist_events": Content.INTEGER,
            },
            moves=True,
        ),
    ),
    env=_label_env,
    checks=(*_COMMON_CHECKS, Check.ONE_TO_ONE, Check.ACTIVE_DAYS),
    upstream=("conversations",),
    pair=Pair("conversation", "conversation_end_time"),
    reaches_back=True,
)

DATASETS: Mapping[str, Dataset] = {d.name: d for d in (CONVERSATIONS, PROCESS_SCORECARDS, LABELS)}


def sharing(dataset: Dataset, target: Target) -> tuple[Dataset, ...]:
    """The other datasets whose rows lie in the same table."""
    return tuple(d for d in DATASETS.values() if d is not dataset and target.table in {t.table for t in d.targets})
