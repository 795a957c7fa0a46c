"""Inserts that fail when they should: the binding acknowledges one that the engine broke off while it wrote."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from backfill_pipeline.stack.gateway.engine import HANDLE_SETTING, Connection, Engine, quoted
from backfill_pipeline.stack.gateway.errors import EngineError

# Counts every insert of this process that broke off, said or unsaid, before the binding returns from it.
_FAILED = "SELECT sum(value) FROM system.events WHERE event = 'FailedInsertQuery'"
# These questions are ours and none of the clients' queries, so the log does not hold them.
_UNLOGGED = {"log_queries": "0"}
_ENDED = "ended"


class Inserts:
    """Runs the inserts of one engine.

    A violated constraint, a full memory, too many partitions, a kill: once data flows, neither the result nor the
    handle of an insert tells of these, and its count of written rows is that of the rows read. The engine's counter
    of failed inserts does not say whose it counted, but while it stands still none failed. Only when it moved is the
    log written out and asked for this very insert, at some fifty times the cost.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._open = contextlib.ExitStack()
        # Kept open, and not the request's own connection: a client's limits must not apply to the question.
        self._watch = self._open.enter_context(engine.connect(settings=_UNLOGGED))
        self._seen = self._failed()

    def run(self, connection: Connection, handle: str, sql: bytes, fmt: str, chunks: Iterator[bytes]) -> Any:
        """Feeds an INSERT; raises the engine's own error if it failed, even if part of it was written by then."""
        # A count from before this insert is low enough, however old, so one question does, not one on either side.
        seen, began = self._seen, time.time_ns() // 1000
        result = connection.insert(sql, fmt, chunks)
        if self._failed() != seen:
            self._raise_own(handle, began)
        return result

    def _failed(self) -> int:
        with self._lock:
            self._seen = int(self._watch.text(_FAILED))
            return self._seen

    def _raise_own(self, handle: str, began: int) -> None:
        with self._engine.connect(settings=_UNLOGGED) as connection:
            connection.run("SYSTEM FLUSH LOGS query_log")
            ended = connection.text(_end_of(handle, began))
        if not ended:
            # A client can turn the log off. Better an insert too many that is repeated than one that is lost.
            message = "An insert failed while this one ran, and without its entry in query_log it may have been this"
            raise EngineError.of(1002, "UNKNOWN_EXCEPTION", message)
        if ended != _ENDED:
            raise EngineError(ended.removeprefix(_ENDED))


def _end_of(handle: str, began: int) -> str:
    """The question how an insert ended: no answer, or the mark and behind it what it failed of.

    A client may use an id again, hence the time. Of two at once that share an id both fail if one does: a server
    would have refused the second.
    """
    second = began // 1_000_000
    return (
        f"SELECT concat('{_ENDED}', exception) FROM system.query_log"  # noqa: S608
        # The first two only spare reading the log from its beginning.
        f" WHERE event_date >= toDate(toDateTime({second}, 'UTC'), 'UTC') AND event_time >= toDateTime({second}, 'UTC')"
        f" AND query_start_time_microseconds >= fromUnixTimestamp64Micro({began})"
        f" AND type != 'QueryStart' AND query_kind = 'Insert' AND is_initial_query"
        f" AND Settings['{HANDLE_SETTING}'] = {quoted(handle)}"
        " ORDER BY exception = '' LIMIT 1"
    )
