"""What recorded histories of our workflows tell of a try that may have outlived its execution (trap T3)."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory

from backfill_pipeline.clients.temporal_history import each_said_its_end, silence_of
from backfill_pipeline.domain.contracts import HEARTBEAT_TIMEOUT_SECONDS
from backfill_pipeline_tests.worker.record_histories import FOLDER


def events(name: str, workflow: str = "ReindexConversations", **changes: str) -> Sequence[HistoryEvent]:
    text = (FOLDER / workflow / f"{name}.json").read_text(encoding="utf-8")
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    return WorkflowHistory.from_json(name, text).events


@pytest.mark.parametrize("workflow", ["ReindexConversations", "ReindexProcessScorecards"])
@pytest.mark.parametrize(
    ("name", "is_sure"), [("failed", True), ("completed", True), ("cancelled", False), ("retried", False)]
)
def test_only_where_the_first_try_told_its_end_itself_none_can_be_left(name: str, is_sure: bool, workflow: str) -> None:
    """Recorded: a cancelled one that hung through its cancel, and one whose second try came to its end."""
    assert each_said_its_end(events(name, workflow)) is is_sure


def test_a_try_that_went_silent_did_not_tell_its_end() -> None:
    timed_out = {
        "EVENT_TYPE_ACTIVITY_TASK_FAILED": "EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT",
        "activityTaskFailedEventAttributes": "activityTaskTimedOutEventAttributes",
    }
    assert not each_said_its_end(events("failed", **timed_out))


def test_an_execution_that_was_cancelled_before_it_began_with_anything_left_nothing() -> None:
    assert each_said_its_end(events("cancelled")[:4])


@pytest.mark.parametrize(("asked", "seconds"), [("300s", 300), ("1s", HEARTBEAT_TIMEOUT_SECONDS)])
def test_a_silence_of_minutes_that_its_workflow_allows_is_not_cut_to_half_a_minute(asked: str, seconds: int) -> None:
    assert silence_of(events("failed", **{"30s": asked})) == timedelta(seconds=seconds)
    assert silence_of(events("failed")[:4]) == timedelta(seconds=HEARTBEAT_TIMEOUT_SECONDS)
