"""The transfer of a range: day by day, slice by slice, some slices at once, one catch-up pass at the end.

Memory holds `slices_in_flight` slices and nothing that grows with the range.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from backfill_pipeline.config import Limits
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.postgres import Postgres, must_shrink
from backfill_pipeline.stores.schemas import first_schemas
from backfill_pipeline.worker.transfer.cursor import Cursor
from backfill_pipeline.worker.transfer.load import Loader
from backfill_pipeline.worker.transfer.read import Source
from backfill_pipeline.worker.transfer.recipes import Recipe
from backfill_pipeline.worker.transfer.route import Router
from backfill_pipeline.worker.transfer.shape import fitted, refuse_unfit
from backfill_pipeline.worker.transfer.slices import Pace, Request, Slice

OVERLAP = timedelta(minutes=15)  # longest transaction allowed: `updated_at` is not commit order (trap P9)
_READ_TRIES = 4
_FIRST_PAUSE = 0.5
_TICK = 0.2  # seconds between looks at whether the transfer is to stop
END_SECONDS = 10.0  # for a cancelled read to end; a backend that is frozen never answers, not even a cancel

T = TypeVar("T")


class Stopped(Exception):
    """The transfer was asked to stop; everything up to the last cursor is durable."""


class Watch(Protocol):
    """Who looks at a transfer from outside; all are called on the thread that runs it."""

    def alive(self) -> None:
        """Data moved since the last call."""

    def reached(self, cursor: Cursor) -> None:
        """Everything before the cursor is durable."""

    def must_stop(self) -> bool: ...


class InFlight:
    """How many threads are within the block now."""

    def __init__(self) -> None:
        self._changed, self._count = threading.Condition(), 0

    def wait_for_none(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._count == 0)

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()


class Transfer:
    """Rows of one request from PostgreSQL to ClickHouse, all with one version. Runs once.

    Raises (from run): Stopped; Refused where a target is not as it must be; PipelineError of either store.
    """

    def __init__(
        self,
        postgres: Postgres,
        clickhouse: ClickHouse,
        recipe: Recipe,
        request: Request,
        version: datetime,
        limits: Limits,
        watch: Watch,
        pace: Pace | None = None,
    ) -> None:
        self._postgres, self._request, self._version, self._limits = postgres, request, version, limits
        self._targets, self._watch = recipe.dataset.targets, watch
        self._pace = pace or Pace(limits.slice_conversations, limits.slice_conversations)
        self._schemas = first_schemas(clickhouse, [t.table for t in self._targets])
        for target in self._targets:
            refuse_unfit(target, self._schemas[target.table])
        self._routers = {table: Router(clickhouse, schema) for table, schema in self._schemas.items()}
        self._stop, self._moved = threading.Event(), threading.Event()
        self._source = Source(postgres, recipe, request, self._moved.set, self._check)
        self._pool = ThreadPoolExecutor(limits.slices_in_flight, thread_name_prefix="slice")
        self._planner = ThreadPoolExecutor(2, thread_name_prefix="plan")  # plans, and the count of all beside them
        self._loader = Loader(self._pause, self._check)
        self._inserts = InFlight()
        self._begun: set[Future[Any]] = set()
        self._counting: Future[int] | None = None

    def run(self, cursor: Cursor | None = None) -> Cursor:
        """Loads everything from the cursor on (None: from the start) and gives the last cursor."""
        try:
            first = cursor or Cursor(self._postgres.now() - OVERLAP, None, self._request.start)
            if first.total is None:  # beside the loading: of a large range it takes longer than Temporal waits for news
                self._counting = self._submitted(self._planner, self._source.total)
            loaded = self._all_days(self._at(first))
            if self._counting:
                self._awaited(self._counting)
            return self._caught_up(self._at(loaded))
        finally:
            self._end()

    def _end(self) -> None:
        """Ends reads under way; inserts under way go on to their end, as nobody could tell how far they came.

        A read that does not end is left to itself: nothing is inserted after it, and a try that waits for it keeps one of
        the worker's few places.
        """
        self._stop.set()
        self._source.cancel()
        for pool in (self._planner, self._pool):
            pool.shutdown(wait=False, cancel_futures=True)
        wait(set(self._begun), END_SECONDS)
        self._inserts.wait_for_none()
        self._source.close()

    def _submitted(self, pool: ThreadPoolExecutor, call: Callable[..., T], *given: Any) -> "Future[T]":
        future = pool.submit(call, *given)
        self._begun.add(future)
        future.add_done_callback(self._begun.discard)
        return future

    def _all_days(self, cursor: Cursor) -> Cursor:
        days = [day for day in self._request.days() if day[1] > cursor.start]
        if not days:
            return cursor  # an earlier try was catching up already
        wholes = (Slice(start, end, cursor.after if start == cursor.start else None) for start, end in days)
        return self._at(replace(self._carried_out(cursor, wholes), start=self._request.end, after=None))

    def _caught_up(self, cursor: Cursor) -> Cursor:
        """The catch-up pass: conversations of the range of which something changed since the first attempt began."""
        changed = Slice(self._request.start, self._request.end, cursor.after, None, cursor.since)
        return self._carried_out(cursor, [changed])

    def _carried_out(self, cursor: Cursor, wholes: Iterable[Slice]) -> Cursor:
        """All slices, some at once; the cursor moves over those whose predecessors are durable too."""
        coming = self._slices(wholes)
        running: deque[tuple[Slice, Future[int]]] = deque()
        while self._fill(coming, running):
            part, future = running.popleft()
            cursor = self._at(_moved_over(part, self._awaited(future), cursor))
        return cursor

    def _at(self, cursor: Cursor) -> Cursor:
        if self._counting and self._counting.done():
            cursor = replace(cursor, total=self._counting.result())
        self._watch.reached(cursor)
        return cursor

    def _slices(self, wholes: Iterable[Slice]) -> Iterator[Slice]:
        """Slices of each in order, as large as the pace is when they are planned."""
        for whole in wholes:
            yield from self._parts(whole)

    def _parts(self, whole: Slice) -> Iterator[Slice]:
        rest: Slice | None = whole
        while rest:
            part = self._awaited(self._submitted(self._planner, self._source.first, rest, self._pace.size))
            if part.size:
                yield part
            rest = rest.rest(part)

    def _fill(self, coming: Iterator[Slice], running: deque[tuple[Slice, Future[int]]]) -> bool:
        """Hands out slices up to twice the number that run at once; whether any is left to wait for."""
        while len(running) < 2 * self._limits.slices_in_flight and (part := next(coming, None)):
            running.append((part, self._submitted(self._pool, self._transfer, part)))
        return bool(running)

    def _awaited(self, future: "Future[T]") -> T:
        while not wait([future], _TICK).done:
            self._look()
        self._look()
        return future.result()

    def _look(self) -> None:
        # First of all: news of data that moved too late must not bring a dead try back to life.
        if self._watch.must_stop():
            self._stop.set()
            raise Stopped
        if self._moved.is_set():
            self._moved.clear()
            self._watch.alive()

    def _transfer(self, part: Slice) -> int:
        """Reads a slice and loads it, as a whole or in smaller ones; gives its number of ids."""
        for attempt in range(1, _READ_TRIES + 1):
            try:
                return self._read_and_load(part)
            except PipelineError as error:
                self._check()  # a read that we cancelled fails like one that took too long
                if must_shrink(error) and part.size > 1:
                    self._pace.halve()
                    return sum(self._transfer(smaller) for smaller in self._halves(part))
                if attempt == _READ_TRIES or error.kind is not Kind.RETRY:
                    raise
                self._pause(_FIRST_PAUSE * 2 ** (attempt - 1))
        raise AssertionError("unreachable")

    def _halves(self, part: Slice) -> Iterator[Slice]:
        """About two smaller slices; down to single ids in the end."""
        rest: Slice | None = part
        while rest:
            smaller = self._source.first(rest, part.size // 2)
            if smaller.size:
                yield smaller
            rest = rest.rest(smaller)

    def _read_and_load(self, part: Slice) -> int:
        self._check()
        begun = time.monotonic()
        tables = self._source.read(part, tuple(t.table for t in self._targets))
        with self._inserts:
            self._load(tables)
        self._pace.took(part.size, time.monotonic() - begun)
        return int(next(iter(tables.values())).num_rows)

    def _load(self, tables: Mapping[str, pa.Table]) -> None:
        for target in self._targets:
            schema = self._schemas[target.table]
            rows = fitted(tables[target.table], target, schema, self._request, self._version)
            for shard, rows_of_shard in self._routers[target.table].split(rows):
                self._loader.load(shard, target.table, rows_of_shard)
                self._moved.set()

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped


def _moved_over(part: Slice, ids: int, cursor: Cursor) -> Cursor:
    """The cursor behind a slice that is durable; the catch-up pass counts nothing twice."""
    if part.since:
        return replace(cursor, after=part.upto)
    behind = (part.start, part.upto) if part.upto is not None else (part.end, None)
    return replace(cursor, start=behind[0], after=behind[1], done=cursor.done + ids)
