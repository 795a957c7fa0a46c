"""What every reindex workflow does: one activity, its time-outs and retries, and an end that waits for its last insert.

It is replayed, so it reads no clock, file or setting. Changing what it asks for breaks executions in flight: the replay
test shows it, on recorded histories (trap T9).
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

LONGEST_WINDOW = timedelta(hours=24)
# After a cancellation: the activity is given this long to say that it has stopped.
STOP_TIMEOUT = timedelta(seconds=4)
ATTEMPTS = 10
# These fail again however often they are tried.
FINAL_KINDS = (Kind.STOP, Kind.MISSING, Kind.REFUSED)


@dataclass(frozen=True)
class ReindexResult:
    """What an execution loaded, in conversations or process scorecards."""

    done: int
    total: int


async def transferred(activity: str, request: ReindexInput) -> ReindexResult:
    """The activity's result; a cancelled workflow closes when the activity has stopped, or soon after."""
    transfer = workflow.start_activity(
        activity,
        request,
        result_type=ReindexResult,
        start_to_close_timeout=LONGEST_WINDOW,
        # Longer than any single step of the data path takes, as only data that moved heartbeats (trap T5).
        heartbeat_timeout=timedelta(seconds=request.heartbeat_seconds),
        retry_policy=_retries(request.max_attempts or ATTEMPTS),
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )
    try:
        return await asyncio.shield(transfer)
    except asyncio.CancelledError:
        transfer.cancel()
        # Whoever waits for this execution to close may then delete: better that the last insert is over by then.
        await workflow.wait([transfer], timeout=STOP_TIMEOUT.total_seconds())
        raise


def _retries(attempts: int) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=timedelta(seconds=1),
        maximum_interval=timedelta(seconds=15),
        maximum_attempts=attempts,
        non_retryable_error_types=[kind.value for kind in FINAL_KINDS],
    )
