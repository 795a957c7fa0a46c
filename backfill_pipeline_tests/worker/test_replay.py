"""Trap T9: histories recorded from real executions, replayed by the workflows as they are now.

A change that breaks them breaks executions in flight: keep the old path with `workflow.patched`, do not record anew.
Only for a new workflow, or a path that had no history: BACKFILL_RECORD_HISTORIES=1 records what is not there yet.
"""

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowHistory
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, Worker

from backfill_pipeline.config import TemporalAddress
from backfill_pipeline.domain.contracts import REINDEX_QUEUE, ReindexInput
from backfill_pipeline.worker.main import WORKFLOWS
from backfill_pipeline.worker.workflows import reindex_conversations, reindex_process_scorecards
from backfill_pipeline.worker.workflows.transferring import ReindexResult

FOLDER = Path(__file__).parent / "histories"
HISTORIES = sorted(FOLDER.glob("*/*.json"))
_OF_THE_MACHINE = {"identity", "stackTrace", "workerControlTaskQueue", "sdkName", "binaryChecksum"}


@pytest.mark.parametrize("path", HISTORIES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_t9_executions_in_flight_are_not_broken_by_a_change_of_the_workflow(path: Path) -> None:
    history = WorkflowHistory.from_json(f"reindexconversations-{path.stem}", path.read_text(encoding="utf-8"))
    asyncio.run(Replayer(workflows=WORKFLOWS).replay_workflow(history))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda w: w.__name__)
def test_t9_no_registered_workflow_is_without_a_recorded_history(workflow: type) -> None:
    assert any(path.parent.name == workflow.__name__ for path in HISTORIES)


def test_t9_a_change_of_the_workflow_is_found_by_the_replay() -> None:
    """The guard itself: a history with another activity in it does not replay."""
    path = next(p for p in HISTORIES if p.stem == "completed")
    other = path.read_text(encoding="utf-8").replace("transfer_", "another_")
    history = WorkflowHistory.from_json("reindexconversations-other", other)
    with pytest.raises(Exception, match=r"[Nn]ondeterminism|does not match"):
        asyncio.run(Replayer(workflows=WORKFLOWS).replay_workflow(history))


async def behaves_as_its_customer_is_called(reindex: ReindexInput) -> ReindexResult:
    activity.heartbeat("begun")
    if reindex.customer_id == "failed":
        raise ApplicationError("no such column", type="missing")
    if reindex.customer_id == "retried" and activity.info().attempt == 1:
        raise ApplicationError("deadlock", type="retry")
    while reindex.customer_id == "cancelled":
        await asyncio.sleep(0.2)
        activity.heartbeat("moved")
    return ReindexResult(10, 10)


@pytest.mark.skipif("BACKFILL_RECORD_HISTORIES" not in os.environ, reason="records histories on request only")
@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda w: w.__name__)
def test_record_histories_that_are_not_there_yet(temporal: TemporalAddress, workflow: Any) -> None:
    folder = FOLDER / workflow.__name__
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("completed", "failed", "retried", "cancelled"):
        path = folder / f"{name}.json"
        if not path.exists():
            recorded = asyncio.run(_recorded(temporal, workflow, name))
            path.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


async def _recorded(temporal: TemporalAddress, workflow: Any, name: str) -> Any:
    client = await Client.connect(temporal.address, namespace=temporal.namespace)
    reindex = ReindexInput(name, "default", "2026-01-15T00:00:00Z", "2026-01-16T00:00:00Z")
    with ThreadPoolExecutor() as pool:
        names = (reindex_conversations.TRANSFER, reindex_process_scorecards.TRANSFER)
        activities = [activity.defn(name=n)(_copied(behaves_as_its_customer_is_called)) for n in names]
        async with Worker(
            client, task_queue=REINDEX_QUEUE, workflows=WORKFLOWS, activities=activities, activity_executor=pool
        ):
            handle = await client.start_workflow(
                workflow.run, reindex, id=f"{workflow.__name__.lower()}-{name}", task_queue=REINDEX_QUEUE
            )
            if name == "cancelled":
                await asyncio.sleep(2)
                await handle.cancel()
            try:
                await handle.result()
            except WorkflowFailureError:
                assert name in {"failed", "cancelled"}
            return _without_machine(json.loads((await handle.fetch_history()).to_json()))


def _copied(function: Any) -> Any:
    """A function of its own, as a definition marks the function itself."""

    async def copy(reindex: ReindexInput) -> ReindexResult:
        return await function(reindex)  # type: ignore[no-any-return]

    return copy


def _without_machine(tree: Any) -> Any:
    """A history without names of hosts, processes and paths."""
    if isinstance(tree, dict):
        return {k: "" if k in _OF_THE_MACHINE else _without_machine(v) for k, v in tree.items()}
    if isinstance(tree, list):
        return [_without_machine(v) for v in tree]
    return "" if isinstance(tree, str) and "@" in tree else tree  # sticky queues are called process@host
