"""Activities of the reindex workflows: methods of a class that holds the addresses. Sync, in a thread pool."""

import time
from collections.abc import Callable
from datetime import datetime

from temporalio import activity
from temporalio.exceptions import ApplicationError, CancelledError

from backfill_pipeline.config import ClickHouseAddress, Limits, PostgresAddress
from backfill_pipeline.domain.contracts import Progress, ReindexInput
from backfill_pipeline.domain.datasets import CONVERSATIONS, PROCESS_SCORECARDS, Dataset
from backfill_pipeline.domain.deletes import build_delete
from backfill_pipeline.domain.errors import PipelineError, Refused
from backfill_pipeline.domain.naming import check_id
from backfill_pipeline.domain.windows import parse_rfc3339, whole_days
from backfill_pipeline.stores import mutations
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.worker.transfer.cursor import Cursor, cursor_from
from backfill_pipeline.worker.transfer.engine import Stopped, Transfer
from backfill_pipeline.worker.transfer.recipes import RECIPES
from backfill_pipeline.worker.transfer.slices import Pace, Request
from backfill_pipeline.worker.transfer.versions import version_of
from backfill_pipeline.worker.workflows import reindex_conversations, reindex_process_scorecards
from backfill_pipeline.worker.workflows.transferring import FINAL_KINDS, ReindexResult


class ReindexActivities:
    """The data path behind the workflows; connects to the stores when an activity runs."""

    def __init__(self, postgres: PostgresAddress, clickhouse: ClickHouseAddress, limits: Limits) -> None:
        self._postgres, self._clickhouse, self._limits = postgres, clickhouse, limits

    # Our own flag ends the transfer between two inserts; an exception thrown into the thread would hit any line.
    @activity.defn(name=reindex_conversations.TRANSFER, no_thread_cancel_exception=True)
    def transfer_conversations(self, reindex: ReindexInput) -> ReindexResult:
        return self._transferred(CONVERSATIONS, reindex)

    @activity.defn(name=reindex_process_scorecards.TRANSFER, no_thread_cancel_exception=True)
    def transfer_process_scorecards(self, reindex: ReindexInput) -> ReindexResult:
        return self._transferred(PROCESS_SCORECARDS, reindex)

    @property
    def all(self) -> list[Callable[[ReindexInput], ReindexResult]]:
        return [self.transfer_conversations, self.transfer_process_scorecards]

    def _transferred(self, dataset: Dataset, reindex: ReindexInput) -> ReindexResult:
        """Loads the rest of the range from the cursor that an earlier try left.

        Raises:
            ApplicationError: its type is the Kind of the failure; the final kinds are not retried.
        """
        try:
            last = self._transfer(dataset, reindex)
        except Stopped:
            raise _why_stopped(reindex) from None
        except PipelineError as error:
            raise ApplicationError(
                str(error), type=error.kind.value, non_retryable=error.kind in FINAL_KINDS
            ) from error
        assert last.total is not None  # a transfer that came to its end has counted too
        return ReindexResult(last.done, last.total)

    def _transfer(self, dataset: Dataset, reindex: ReindexInput) -> Cursor:
        clickhouse = ClickHouse(self._clickhouse)
        try:
            version = version_of(dataset, reindex.marker, activity.info().attempt, clickhouse)
            source, request, watch = Postgres(self._postgres), request_of(reindex), Heartbeats(reindex)
            if reindex.clean_up_before_write and last_cursor() is None:  # nothing of this execution's own is there yet
                clean_up(dataset, request, version, clickhouse, self._limits)
            most = self._limits.slice_conversations
            pace = Pace(min(reindex.reindex_batch_size or most, most), most)
            transfer = Transfer(source, clickhouse, RECIPES[dataset.name], request, version, self._limits, watch, pace)
            return transfer.run(last_cursor())
        finally:
            clickhouse.close()


class Heartbeats:
    """Tells Temporal where the transfer is, after data moved and never by the clock (trap T5)."""

    def __init__(self, reindex: ReindexInput) -> None:
        self._cursor: Cursor | None = last_cursor()
        self._patience, self._last = reindex.heartbeat_seconds, time.monotonic()

    def alive(self) -> None:
        """Data moved, the cursor did not: the same details once more."""
        if self._cursor:
            self.reached(self._cursor)

    def reached(self, cursor: Cursor) -> None:
        self._cursor, self._last = cursor, time.monotonic()
        progress = Progress(cursor.done, 0, cursor.total)
        activity.heartbeat(progress.details(Cursor=cursor.as_details()))

    def must_stop(self) -> bool:
        return activity.is_cancelled() or activity.is_worker_shutdown() or self.thought_dead()

    def thought_dead(self) -> bool:
        """Temporal has given us up by now, and the next try may be running: not one more insert (trap T3)."""
        return time.monotonic() - self._last > self._patience


def last_cursor() -> Cursor | None:
    """Where the try before this one was; None for the first."""
    details = activity.info().heartbeat_details
    return cursor_from(details[0]) if details else None


def request_of(reindex: ReindexInput) -> Request:
    """The workflow's input, checked.

    Raises:
        Refused: no customer, no profile, or an empty or reversed range.
    """
    start, end = parse_rfc3339(reindex.start_time), parse_rfc3339(reindex.end_time)
    if not start < end:
        raise Refused(
            "The range is empty or reversed",
            where=f"[{reindex.start_time}, {reindex.end_time})",
            why="the end is exclusive and must come after the start",
            next_step="start the workflow with a start before the end",
        )
    customer, profile = check_id(reindex.customer_id, "customer"), check_id(reindex.profile_id, "profile")
    return Request(customer, profile, start, end)


def clean_up(dataset: Dataset, request: Request, version: datetime, clickhouse: ClickHouse, limits: Limits) -> None:
    """Deletes the range's rows older than this try's, for whoever asks the worker for it: a run of the pipeline does not.

    Raises:
        Refused: the range is not of whole days, or of too many.
        PipelineError: the delete is not done in time.
    """
    window = whole_days(request.start, request.end)
    scope = (request.customer, [request.profile], window, version)
    for delete in (build_delete(t, *scope, max_days=limits.max_window_days) for t in dataset.targets):
        for shard in clickhouse.shards:
            mutations.submit(shard, delete, method=clickhouse.address.delete)
            mutations.wait(
                shard, delete, deadline_seconds=limits.delete_deadline_seconds, on_poll=lambda: activity.heartbeat()
            )


def _why_stopped(reindex: ReindexInput) -> Exception:
    details = activity.cancellation_details()
    if details and (details.cancel_requested or details.not_found or details.timed_out):
        return CancelledError("the transfer stopped between two inserts")
    if activity.is_worker_shutdown():
        return ApplicationError("the worker was told to end; another one resumes from the cursor", type="shutdown")
    return ApplicationError(f"nothing moved for {reindex.heartbeat_seconds:g} s; the next try resumes", type="silent")
