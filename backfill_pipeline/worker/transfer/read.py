"""Slices planned and read from PostgreSQL. Each read ends, and its transaction with it, before anything is inserted."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import pyarrow as pa

from backfill_pipeline.stores.arrow import ArrowReader, arrow_connection
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.worker.transfer import statements
from backfill_pipeline.worker.transfer.recipes import Recipe, inherited
from backfill_pipeline.worker.transfer.slices import Request, Slice

MAX_SLICE_BYTES = 256 * 1024 * 1024  # of one table; above it the slice is cut, however few its rows are


class Source:
    """One profile's rows of a dataset in PostgreSQL.

    Args:
        moved: called after every batch of rows that arrived.
        check: raises if the transfer is being stopped; asked before every read.
    """

    def __init__(
        self,
        postgres: Postgres,
        recipe: Recipe,
        request: Request,
        moved: Callable[[], None],
        check: Callable[[], None],
    ) -> None:
        self._recipe, self._request, self._moved, self._check = recipe, request, moved, check
        self._readers = Readers(postgres)

    def total(self) -> int:
        """Ids of the whole range."""
        with self._readers.snapshot() as reader:
            return int(reader.read(statements.count(self._recipe, self._request)).column(0)[0].as_py())

    def first(self, whole: Slice, size: int) -> Slice:
        """The part of `whole` with its first so many ids; of size 0 where it holds nothing."""
        with self._readers.snapshot() as reader:
            page = reader.read(statements.page(self._recipe, self._request, whole, size), moved=self._moved)
        (found,) = page.to_pylist()
        return whole.first(found["upto"], found["size"], size)

    def read(self, part: Slice, tables: tuple[str, ...]) -> Mapping[str, pa.Table]:
        """All rows of a slice by target table, from one snapshot; parents are read too, as their children are found by them."""
        alone = part.size == 1  # can't be cut any further
        read: dict[str, pa.Table] = {}
        with self._readers.snapshot() as reader:
            for table in self._recipe.with_parents(tables):
                read[table] = self._table(reader, table, part, read, None if alone else MAX_SLICE_BYTES)
        return read

    def _table(
        self, reader: ArrowReader, table: str, part: Slice, read: Mapping[str, pa.Table], max_bytes: int | None
    ) -> pa.Table:
        self._check()
        parent = self._recipe.parents.get(table)
        keys = read[parent.table][parent.key].to_pylist() if parent else None
        sql = statements.read_rows(self._recipe, table, self._request, part, keys)
        rows = reader.read(sql, max_bytes=max_bytes, moved=self._moved)
        return inherited(rows, read[parent.table], parent) if parent else rows

    def cancel(self) -> None:
        """Ends every read under way."""
        self._readers.cancel()

    def close(self) -> None:
        self._readers.close()


def total(postgres: Postgres, recipe: Recipe, request: Request) -> int:
    """Ids of a whole range, counted alone."""
    source = Source(postgres, recipe, request, lambda: None, lambda: None)
    try:
        return source.total()
    finally:
        source.close()


class Readers:
    """Connections that are used again: making one costs ADBC about 50 ms, as much as a slice's read."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._idle: deque[tuple[ArrowReader, ExitStack]] = deque()
        self._busy: set[ArrowReader] = set()
        self._lock = threading.Lock()

    @contextmanager
    def snapshot(self) -> Iterator[ArrowReader]:
        """A reader in a snapshot of its own, for the calling thread; thrown away if anything failed."""
        reader, closing = self._taken()
        with ExitStack() as on_error:
            on_error.callback(self._drop, reader, closing)
            with self._postgres.translated(), reader.snapshot():
                yield reader
            on_error.pop_all()
        self._give_back(reader, closing)

    def cancel(self) -> None:
        with self._lock:
            for reader in self._busy:
                reader.cancel()

    def close(self) -> None:
        while self._idle:
            self._idle.pop()[1].close()

    def _taken(self) -> tuple[ArrowReader, ExitStack]:
        try:
            reader, closing = self._idle.pop()
        except IndexError:
            closing = ExitStack()
            reader = closing.enter_context(arrow_connection(self._postgres))
        with self._lock:
            self._busy.add(reader)
        return reader, closing

    def _give_back(self, reader: ArrowReader, closing: ExitStack) -> None:
        with self._lock:
            self._busy.discard(reader)
        self._idle.append((reader, closing))

    def _drop(self, reader: ArrowReader, closing: ExitStack) -> None:
        with self._lock:
            self._busy.discard(reader)
        closing.close()
