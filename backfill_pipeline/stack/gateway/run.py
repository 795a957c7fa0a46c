"""Runs one request from its first byte to its last, in a worker thread."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from itertools import chain
from traceback import format_tb
from typing import Any

from backfill_pipeline.stack.gateway.chunks import joiner
from backfill_pipeline.stack.gateway.engine import Connection, Engine, engine_errors, quoted_name
from backfill_pipeline.stack.gateway.errors import ClientGone, EngineError
from backfill_pipeline.stack.gateway.exchange import Exchange
from backfill_pipeline.stack.gateway.inserts import Inserts
from backfill_pipeline.stack.gateway.outside import refuse_outside
from backfill_pipeline.stack.gateway.refuse import refuse_nondeterministic
from backfill_pipeline.stack.gateway.replicated import ReplicatedTables
from backfill_pipeline.stack.gateway.reply import Reply
from backfill_pipeline.stack.gateway.request import Ask
from backfill_pipeline.stack.gateway.rewrite import rewrite
from backfill_pipeline.stack.gateway.statement import Kind, Statement, insert_of, is_insert, statement_of
from backfill_pipeline.stack.gateway.tokens import first_word, qualified_name, tokens

log = logging.getLogger(__name__)

_NOT_REPLICATED = "is not replicated"


class Runner:
    """Carries out requests on one engine."""

    def __init__(self, engine: Engine, replicated: ReplicatedTables, server_name: str) -> None:
        self._engine, self._replicated, self._server_name = engine, replicated, server_name
        self._inserts = Inserts(engine)

    def serve(self, read_ask: Callable[[], Ask], exchange: Exchange) -> None:
        """Answers the request, with an error if it must; a response that broke off is left without its end."""
        began = time.monotonic()
        reply = Reply(exchange, self._server_name, self._engine.version)
        try:
            ask = reply.ask = read_ask()
            statement = self._statement(ask, exchange)
            self._run(ask, statement, exchange, reply)
            log.debug("%s %s in %.3f s", ask.query_id, statement.kind.value, time.monotonic() - began)
        except ClientGone:
            log.debug("%s ended: its client is gone", reply.ask.query_id)
        except EngineError as error:
            self._failed(error, exchange, reply)
        except Exception as error:
            self._broke(error, exchange, reply)

    def _broke(self, error: Exception, exchange: Exchange, reply: Reply) -> None:
        # By type and place only, for the same reason as below.
        kind, place = type(error).__name__, "".join(format_tb(error.__traceback__))
        log.error("%s broke: %s\n%s", reply.ask.query_id, kind, place)
        self._failed(EngineError.of(1002, "UNKNOWN_EXCEPTION", kind), exchange, reply)

    def _failed(self, error: EngineError, exchange: Exchange, reply: Reply) -> None:
        # Not the text: it may quote a row, a parameter or a password.
        level = logging.DEBUG if exchange.gone else logging.WARNING
        log.log(level, "%s failed: %d %s", reply.ask.query_id, error.code, error.name)
        with contextlib.suppress(ClientGone):
            reply.fail(error)

    def _statement(self, ask: Ask, exchange: Exchange) -> Statement:
        """Reads as much of the body as it takes to know the statement; what is left of it is data."""
        text = ask.query + b"\n" if ask.query else b""
        from_url, body = len(text), exchange.chunks()
        while True:
            chunk = next(body, None)
            text += chunk or b""
            if is_insert(text):
                insert = insert_of(text, chunk is None, from_url, ask.default_format)
                if insert:
                    return _readable(ask, insert)
            if chunk is None:
                return _readable(ask, statement_of(text, ask.default_format))

    def _run(self, ask: Ask, statement: Statement, exchange: Exchange, reply: Reply) -> None:
        refuse_outside(statement.sql, ask.settings)
        with self._engine.connect(ask.database, ask.settings, ask.query_id) as connection:
            exchange.send_seconds = float(ask.settings.get("http_send_timeout", exchange.send_seconds))
            for table in ask.externals:
                create = f"CREATE TEMPORARY TABLE {quoted_name(table.name)} ({table.structure})"
                refuse_outside(create.encode())
                connection.run(create)
                into = f"INSERT INTO {quoted_name(table.name)}".encode()
                self._inserts.run(connection, ask.query_id, into, table.fmt, iter([table.data]))
            if statement.kind is Kind.INSERT:
                data = chain([statement.data] if statement.data else [], exchange.chunks())
                result = self._inserts.run(connection, ask.query_id, statement.sql, statement.fmt, data)
                reply.finish(_written(result))
                return
            if statement.only_reads:
                exchange.when_gone(lambda: self._engine.kill(ask.query_id))
            if statement.has_result:
                reply.has_format(statement.fmt)
            if statement.kind is Kind.SELECT:
                self._select(connection, statement, reply)
            else:
                result = self._command(connection, statement)
                reply.write(result.bytes())
                reply.finish(_counts(result))

    def _select(self, connection: Connection, statement: Statement, reply: Reply) -> None:
        join = joiner(statement.fmt)
        result = None
        if join:
            with contextlib.closing(connection.stream(statement.sql, statement.fmt)) as stream:
                results = _Remembered(stream)
                for chunk in join(result.bytes() for result in results):
                    reply.write(chunk)
                result = results.last
        if result is None:
            # Also where a stream held no chunk: an empty result of most formats is a document all the same.
            result = connection.run(statement.sql, statement.fmt)
            reply.write(result.bytes())
        reply.finish(_counts(result))

    def _command(self, connection: Connection, statement: Statement) -> Any:
        rewritten = rewrite(statement.sql)
        refuse_nondeterministic(connection, rewritten.sql, self._replicated)
        try:
            result = connection.run(rewritten.sql, statement.fmt)
        except EngineError as error:
            if not self._is_sync_of_replicated(connection, rewritten.sql, error):
                raise
            return connection.run("SELECT 1 WHERE 0")
        if first_word(rewritten.sql) in (b"CREATE", b"ATTACH", b"REPLACE"):
            self._replicated.note_created(connection, rewritten.sql, rewritten.creates_replicated)
        return result

    def _is_sync_of_replicated(self, connection: Connection, sql: bytes, error: EngineError) -> bool:
        """One replica is always in step with itself; a table created as plain gets a server's refusal."""
        if _NOT_REPLICATED not in error.text:
            return False
        found = list(tokens(sql))
        words = [token.upper for token in found[:3]]
        at = 5 if len(found) > 4 and found[3].upper == b"IF" else 3
        named = qualified_name(found, at) if words == [b"SYSTEM", b"SYNC", b"REPLICA"] else None
        return named is not None and self._replicated.holds(connection, named[0])


class _Remembered:
    """Iterates, and keeps the last result for its counters."""

    def __init__(self, results: Iterator[Any]) -> None:
        self._results = results
        self.last: Any = None

    def __iter__(self) -> Iterator[Any]:
        for result in self._results:
            self.last = result
            yield result


def _readable(ask: Ask, statement: Statement) -> Statement:
    if ask.by_get and not statement.only_reads:
        message = (
            "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. "
            "You should use method POST for modifying queries"
        )
        raise EngineError.of(164, "READONLY", message)
    return statement


def _written(result: Any) -> dict[str, int]:
    rows, size = result.rows_written(), result.bytes_written()
    return {
        "read_rows": rows,
        "read_bytes": size,
        "written_rows": rows,
        "written_bytes": size,
        "elapsed_ns": _elapsed(result),
    }


def _counts(result: Any) -> dict[str, int]:
    with engine_errors():
        return {
            "read_rows": result.storage_rows_read(),
            "read_bytes": result.storage_bytes_read(),
            "written_rows": result.rows_written(),
            "written_bytes": result.bytes_written(),
            "result_rows": result.rows_read(),
            "result_bytes": result.bytes_read(),
            "elapsed_ns": _elapsed(result),
        }


def _elapsed(result: Any) -> int:
    return int(result.elapsed() * 1e9)
