"""The datasets: what is reindexed, where it comes from, where it goes. One entry here is (almost) all that a dataset is.

Source: domain.md, "The three datasets". Steps and Dagster definitions loop over these entries and know none by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from backfill_pipeline.domain import contracts
from backfill_pipeline.domain.windows import Window, rfc3339


@dataclass(frozen=True)
class Target:
    """A local table of ClickHouse that a dataset writes.

    ids: columns that identify a row for people; two rows of one id are a duplicate, wherever they lie.
    day_column: the time whose UTC day is the partition, and by which rows are sharded.
    version: the ReplacingMergeTree's version column.
    only: a constant predicate that tells this dataset's rows from others' in a shared table.
    """

    table: str
    ids: tuple[str, ...]
    day_column: str
    only: str
    version: str = "update_time"
    sort_key: tuple[str, ...] = ()


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
            ("customer_id", "profile_id", "conversation_id"),
            "conversation_start_time",
            _BY_CONVERSATION,
            sort_key=(*_KEY, "conversation_id"),
        ),
        Target(
            "scorecard",
            ("customer_id", "profile_id", "scorecard_id"),
            "conversation_start_time",
            _BY_CONVERSATION,
            sort_key=(*_KEY, "scorecard_id"),
        ),
        Target(
            "score",
            ("customer_id", "profile_id", "scorecard_id", "criterion_id"),
            "conversation_start_time",
            _BY_CONVERSATION,
            sort_key=(*_KEY, "scorecard_id", "criterion_id"),
        ),
    ),
    env=_reindex_env,
)

DATASETS: Mapping[str, Dataset] = {d.name: d for d in (CONVERSATIONS,)}
