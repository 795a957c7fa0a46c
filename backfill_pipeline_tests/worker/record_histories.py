"""Records histories of real executions, for the replay test: `python -m backfill_pipeline_tests.worker.record_histories`.

Only for a new workflow, or a path that had no history: it records what is not there yet and changes nothing that is.
"""

import asyncio
import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from backfill_pipeline.domain.contracts import REINDEX_QUEUE, ReindexInput
from backfill_pipeline.reach import TemporalAddress
from backfill_pipeline.worker.main import WORKFLOWS
from backfill_pipeline.worker.workflows import reindex_conversations, reindex_process_scorecards
from backfill_pipeline.worker.workflows.transferring import ReindexResult
from backfill_pipeline_tests.worker import servers

FOLDER = Path(__file__).parent / "histories"
NAMES = ("completed", "failed", "retried", "cancelled")
_ACTIVITIES = (reindex_conversations.TRANSFER, reindex_process_scorecards.TRANSFER)
_OF_THE_MACHINE = {"identity", "stackTrace", "workerControlTaskQueue", "sdkName", "binaryChecksum"}


def main() -> None:
    with tempfile.TemporaryDirectory() as data, servers.temporal(Path(data)) as temporal:
        for path in (FOLDER / w.__name__ / f"{name}.json" for w in WORKFLOWS for name in NAMES):
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                workflow = next(w for w in WORKFLOWS if w.__name__ == path.parent.name)
                tree = asyncio.run(recorded(temporal, workflow, path.stem))
                path.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")
                print(path)


def _activity(name: str) -> Any:
    """An activity of that name that behaves as its customer is called."""

    @activity.defn(name=name)
    async def behave(reindex: ReindexInput) -> ReindexResult:
        activity.heartbeat("begun")
        if reindex.customer_id == "failed":
            raise ApplicationError("no such column", type="missing")
        if reindex.customer_id == "retried" and activity.info().attempt == 1:
            raise ApplicationError("deadlock", type="retry")
        while reindex.customer_id == "cancelled":
            await asyncio.sleep(0.2)
            activity.heartbeat("moved")
        return ReindexResult(10, 10)

    return behave


async def recorded(temporal: TemporalAddress, workflow: Any, name: str) -> Any:
    """The history of one real execution, as JSON's tree, without names of this machine."""
    client = await Client.connect(temporal.address, namespace=temporal.namespace)
    reindex = ReindexInput(name, "default", "2026-01-15T00:00:00Z", "2026-01-16T00:00:00Z")
    with ThreadPoolExecutor() as pool:
        activities = [_activity(name) for name in _ACTIVITIES]
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


def _without_machine(tree: Any) -> Any:
    """A history without names of hosts, processes and paths."""
    if isinstance(tree, dict):
        return {k: "" if k in _OF_THE_MACHINE else _without_machine(v) for k, v in tree.items()}
    if isinstance(tree, list):
        return [_without_machine(v) for v in tree]
    return "" if isinstance(tree, str) and "@" in tree else tree  # sticky queues are called process@host


if __name__ == "__main__":
    main()
