"""Inserts into the local table of a shard: those very bytes once more after a lost answer, never read again for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

import pyarrow as pa
from clickhouse_connect.driver.summary import QuerySummary

from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.stores.clickhouse import ShardStore

MEMORY_LIMIT = "241"
LOST = "rows_lost"  # our own code
_TRIES = 6
_FIRST_PAUSE = 0.5
_SMALLEST_BATCH = 1000
_WANTED = {
    "async_insert": "0",  # an asynchronous insert is acknowledged before it is durable
    "deduplicate_insert": "enable",  # newer servers: overrides the next one
    "insert_deduplicate": "1",
    "input_format_null_as_default": "0",  # a NULL that the column can't hold is an error, not ''
}
_TOKEN = "insert_deduplication_token"


def _no_check() -> None:
    """Nothing to look at before an insert."""


@dataclass(frozen=True)
class Batch:
    """Rows of one table and shard as the bytes that are sent, with the token that makes sending them twice harmless.

    The token is drawn with the bytes and never used for others: rows that are read again are another batch (trap L1).
    """

    table: str
    rows: pa.Table
    body: pa.Buffer = field(repr=False)
    token: str

    def halves(self) -> tuple["Batch", "Batch"]:
        middle = self.rows.num_rows // 2
        return batch_of(self.table, self.rows.slice(0, middle)), batch_of(self.table, self.rows.slice(middle))


def batch_of(table: str, rows: pa.Table) -> Batch:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return Batch(table, rows, sink.getvalue(), str(uuid4()))


class Loader:
    """Sends batches, slowing down or halving them where the server is short of something.

    Args:
        pause: waits that many seconds; ends early with an exception when the transfer is being stopped.
        check: raises if the transfer is being stopped; asked before every insert (trap T3).
    """

    def __init__(self, pause: Callable[[float], None], check: Callable[[], None] = _no_check) -> None:
        self._pause, self._check = pause, check

    def load(self, shard: ShardStore, table: str, rows: pa.Table) -> None:
        """Returns when all rows are durable on the shard.

        Raises:
            PipelineError: as the server gave it, after a bounded number of tries.
        """
        self._load(shard, batch_of(table, rows))

    def _load(self, shard: ShardStore, batch: Batch) -> None:
        try:
            self._send_until_taken(shard, batch)
        except PipelineError as error:
            if error.code != MEMORY_LIMIT or batch.rows.num_rows < 2 * _SMALLEST_BATCH:
                raise
            for half in batch.halves():
                self._load(shard, half)

    def _send_until_taken(self, shard: ShardStore, batch: Batch) -> None:
        for attempt in range(1, _TRIES + 1):
            try:
                return self._send(shard, batch)
            except PipelineError as error:
                if attempt == _TRIES or not _may_pass_later(error):
                    raise
                self._pause(_FIRST_PAUSE * 2 ** (attempt - 1))
        raise AssertionError("unreachable")

    def _send(self, shard: ShardStore, batch: Batch) -> None:
        self._check()
        settings = {**shard.known(_WANTED), _TOKEN: batch.token}
        with shard.translated():
            summary = shard.client().raw_insert(
                batch.table, batch.rows.column_names, batch.body.to_pybytes(), settings, "ArrowStream"
            )

        _refuse_loss(shard, batch, summary)


def _refuse_loss(shard: ShardStore, batch: Batch, summary: QuerySummary) -> None:
    """An answer without an error is not enough: an engine was seen to drop a batch for too many parts and answer 200.

    It is no proof the other way: that rows have landed is for the verification to say (trap L4).
    """
    if "written_rows" not in summary.summary or summary.written_rows >= batch.rows.num_rows:
        return
    raise PipelineError(
        f"ClickHouse took {summary.written_rows} of {batch.rows.num_rows} rows without an error",
        where=f"ClickHouse {shard}, table {batch.table}",
        why="the summary of the insert says so; usual is code 252, too many parts",
        next_step="it is sent again with the same token; look at system.parts of the table and at the server's log",
        kind=Kind.RETRY,
        code=LOST,
    )


def _may_pass_later(error: PipelineError) -> bool:
    """Too many parts pass with time; a memory limit does not, there a smaller batch helps."""
    return error.kind in {Kind.RETRY, Kind.UNREACHABLE} and error.code != MEMORY_LIMIT
