"""The datasets: what is reindexed, where it comes from and where it goes. A dataset is one entry here.

Source: domain.md, "The three datasets". Steps and Dagster definitions loop over these entries and know none by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Target:
    """A local table of ClickHouse that a dataset writes.

    ids: columns that identify a row for people; two rows of one id are a duplicate, wherever they lie.
    day_column: the time whose UTC day is the partition, and by which rows are sharded.
    version: the ReplacingMergeTree's version column.
    only: a constant predicate that tells this dataset's rows from others' in a shared table.
    content: columns beside the ids whose values must be the source's.
    """

    table: str
    ids: tuple[str, ...]
    day_column: str
    only: str
    sort_key: tuple[str, ...]
    content: Mapping[str, Content] = field(repr=False)
    version: str = "update_time"


@dataclass(frozen=True)
class Dataset:
    name: str
    description: str
    cronjob: str
    workflow_type: str
    workflow_prefix: str
    sources: tuple[str, ...]  # PostgreSQL tables, as `schema.table`
    targets: tuple[Target, ...]  # the first one holds the dataset's own ids
    env: Callable[[Window, str], Mapping[str, str]] = field(repr=False)

    @property
    def main(self) -> Target:
        return self.targets[0]


def _reindex_env(window: Window, customer: str) -> Mapping[str, str]:
    return {
        contracts.ENV_MODE: "conversation",
        contracts.ENV_START: rfc3339(window.start_time),
        contracts.ENV_END: rfc3339(window.end_time),
        contracts.ENV_CUSTOMERS: customer,
    }


_BY_CONVERSATION = "conversation_id != ''"
_KEY = ("customer_id", "profile_id", "toDate(conversation_start_time)")

CONVERSATIONS = Dataset(
    name="conversations",
    description="Conversations, their scorecards and scores, by the day on which the conversation started.",
    cronjob="cron-batch-reindex-conversations",
    workflow_type="ReindexConversations",
    workflow_prefix="reindexconversations",
    sources=("app.chats", "director.scorecards", "director.historic_scorecard_scores"),
    targets=(
        Target(
            "conversation",
            ids=("customer_id", "profile_id", "conversation_id"),
            day_column="conversation_start_time",
            only=_BY_CONVERSATION,
            sort_key=(*_KEY, "conversation_id"),
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
            sort_key=(*_KEY, "scorecard_id"),
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
            sort_key=(*_KEY, "scorecard_id", "criterion_id"),
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
    env=_reindex_env,
)

DATASETS: Mapping[str, Dataset] = {d.name: d for d in (CONVERSATIONS,)}
