"""Trap T9: histories recorded from real executions, replayed by the workflows as they are now.

A change that breaks them breaks executions in flight: keep the old path with `workflow.patched`, do not record anew.
Only for a new workflow, or a path that had no history: `record_histories.py` records what is not there yet.
"""

import asyncio
import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from backfill_pipeline.reach import TemporalAddress
from backfill_pipeline.worker.main import WORKFLOWS
from backfill_pipeline.worker.workflows.reindex_conversations import TRANSFER
from backfill_pipeline_tests.worker.record_histories import FOLDER, NAMES, recorded

HISTORIES = sorted(FOLDER.glob("*/*.json"))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_t9_executions_in_flight_are_not_broken_by_a_change_of_the_workflow(path: Path) -> None:
    history = WorkflowHistory.from_json(f"reindexconversations-{path.stem}", path.read_text(encoding="utf-8"))
    asyncio.run(Replayer(workflows=WORKFLOWS).replay_workflow(history))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda w: w.__name__)
def test_t9_no_registered_workflow_is_without_a_recorded_history(workflow: type) -> None:
    assert any(path.parent.name == workflow.__name__ for path in HISTORIES)


def test_t9_a_change_of_the_workflow_is_found_by_the_replay() -> None:
    """The guard itself: a history with another activity in it does not replay."""
    path = FOLDER / "ReindexConversations" / "completed.json"
    other = path.read_text(encoding="utf-8").replace(TRANSFER, "another_activity")
    history = WorkflowHistory.from_json("reindexconversations-other", other)
    with pytest.raises(Exception, match=r"[Nn]ondeterminism|does not match"):
        asyncio.run(Replayer(workflows=WORKFLOWS).replay_workflow(history))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda w: w.__name__)
def test_t9_what_would_be_recorded_today_replays_and_tells_nothing_of_the_machine(
    temporal: TemporalAddress, workflow: type, name: str
) -> None:
    text = json.dumps(asyncio.run(recorded(temporal, workflow, name)))
    assert "@" not in text
    asyncio.run(Replayer(workflows=WORKFLOWS).replay_workflow(WorkflowHistory.from_json(name, text)))
    kept = json.loads((FOLDER / workflow.__name__ / f"{name}.json").read_text(encoding="utf-8"))
    assert json.loads(text)["events"][-1]["eventType"] == kept["events"][-1]["eventType"]
