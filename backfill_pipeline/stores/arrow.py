"""Arrow reads from PostgreSQL, for the transfer alone: its driver brings pyarrow's datasets, which take 0.4 s to import.

Errors are `Postgres.translated()`'s, as those of every other read.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from adbc_driver_postgresql import dbapi as adbc

from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.stores.postgres import SNAPSHOT, TOO_LARGE, UTC_SESSION, Postgres

# With 10,000 keys the planner takes a scan of the whole table for cheaper, and a slice then costs what the table does:
# 0.5 s instead of 0.1 s in a table of 3.2 M scores (tried). Where there is no index it scans all the same.
BY_INDEX = "SET enable_seqscan TO off"
_BATCH_BYTES = 4 * 1024 * 1024  # small enough that a read heartbeats and stops often


class ArrowReader:
    """Reads of one connection as Arrow tables; for one thread at a time."""

    def __init__(self, connection: adbc.Connection) -> None:
        self._connection = connection

    def read(self, sql: str, *, max_bytes: int | None = None, moved: Callable[[], None] | None = None) -> pa.Table:
        """All rows of a statement, read to the end before it returns.

        Args:
            sql: one SELECT; its values stand in it as quoted literals (bound ones would switch COPY off).
            max_bytes: stop with Kind.RETRY and code TOO_LARGE once the rows take more memory than this.
            moved: called after every batch that arrived.
        """
        with self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)})
            cursor.execute(sql)
            # Its public form, fetch_record_batch(), gives a bare reader: an error in mid-read is then an OSError
            # without an SQLSTATE, and a deadlock could not be told from a typing mistake.
            reader: Any = cursor._results.reader
            return pa.Table.from_batches(_bounded(reader, max_bytes, moved), schema=reader.schema)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One REPEATABLE READ READ ONLY transaction, ended with the block; only for a connection outside of one."""
        self._connection.execute(SNAPSHOT).close()
        yield
        self._connection.execute("COMMIT").close()

    def cancel(self) -> None:
        """Ends the statement that another thread is reading; harmless when there is none."""
        self._connection.adbc_cancel()


def _bounded(
    reader: Iterable[pa.RecordBatch], max_bytes: int | None, moved: Callable[[], None] | None
) -> Iterator[pa.RecordBatch]:
    total = 0
    for batch in reader:
        total += batch.nbytes
        if max_bytes is not None and total > max_bytes:
            raise _too_large(max_bytes)
        if moved:
            moved()
        yield batch


def _too_large(max_bytes: int) -> PipelineError:
    return PipelineError(
        "A read outgrew its memory",
        where="PostgreSQL",
        why=f"its rows take more than {max_bytes} bytes",
        next_step="read a smaller range; the transfer does so by itself",
        kind=Kind.RETRY,
        code=TOO_LARGE,
    )


@contextmanager
def arrow_connection(postgres: Postgres) -> Iterator[ArrowReader]:
    """An Arrow connection outside of any transaction, for one `snapshot()` after the other."""
    with postgres.translated(), adbc.connect(postgres.conninfo(), autocommit=True) as connection:
        for setting in (UTC_SESSION, BY_INDEX):
            connection.execute(setting).close()
        yield ArrowReader(connection)


@contextmanager
def arrow_reader(postgres: Postgres) -> Iterator[ArrowReader]:
    """Arrow reads inside one REPEATABLE READ READ ONLY transaction."""
    with arrow_connection(postgres) as reader, reader.snapshot():
        yield reader
