"""The workflow: order, time-outs and retries, and nothing else. It is replayed, so it reads no clock, file or setting.

Changing what it asks for breaks executions in flight: the replay test shows it, on recorded histories (trap T9).
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

with workflow.unsafe.imports_passed_through():
    from backfill_pipeline.domain.contracts import ReindexInput
    from backfill_pipeline.domain.errors import Kind

TRANSFER = "transfer_conversations"
LONGEST_WINDOW = timedelta(hours=24)
# Longer than any single step of the data path takes, as only data that moved heartbeats (trap T5).
HEARTBEAT_TIMEOUT = timedelta(seconds=30)
# After a cancellation: the activity is given this long to say that it has stopped.
STOP_TIMEOUT = timedelta(seconds=4)
# These fail again however often they are tried.
FINAL_KINDS = (Kind.STOP, Kind.MISSING, Kind.REFUSED)
RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    maximum_interval=timedelta(seconds=15),
    maximum_attempts=10,
    non_retryable_error_types=[kind.value for kind in FINAL_KINDS],
)


@dataclass(frozen=True)
class ReindexResult:
    """What an execution loaded, in conversations."""

    done: int
    total: int


@workflow.defn(name="ReindexConversations")
class ReindexConversations:
    """Reindexes the conversations of one profile that started in a range."""

    @workflow.run
    async def run(self, request: ReindexInput) -> ReindexResult:
        transfer = workflow.start_activity(
            TRANSFER,
            request,
            result_type=ReindexResult,
            start_to_close_timeout=LONGEST_WINDOW,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=RETRIES,
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        try:
            return await asyncio.shield(transfer)
        except asyncio.CancelledError:
            transfer.cancel()
            # Whoever waits for this execution to close may then delete: better that the last insert is over by then.
            await workflow.wait([transfer], timeout=STOP_TIMEOUT.total_seconds())
            raise
