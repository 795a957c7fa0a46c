"""A response on its way out: held back while an error may still change its status, then sent as it comes."""

import json
import secrets
import time
from typing import Any

from backfill_pipeline.stack.gateway.chunks import content_type
from backfill_pipeline.stack.gateway.compression import encoder
from backfill_pipeline.stack.gateway.errors import EngineError, mid_stream_block
from backfill_pipeline.stack.gateway.exchange import Exchange, Headers
from backfill_pipeline.stack.gateway.request import UNREAD, Ask

# Up to this size a client that asked to wait for the end gets a true status; beyond it an error breaks the body.
_HELD_WHOLE = 16 * 1024 * 1024
_HELD = 64 * 1024
_HELD_SECONDS = 0.1


class Reply:
    """Gathers a result's bytes and sends them when there are enough, or when the client has waited a moment."""

    def __init__(self, exchange: Exchange, server_name: str, version: str) -> None:
        self._exchange, self._ask = exchange, UNREAD
        self._version, self._server_name = version, server_name
        self._encoder = encoder(None)
        self._tag = secrets.token_hex(8)
        self._held: list[bytes] = []
        self._size, self._since = 0, time.monotonic()
        self._fmt = ""
        self.started = False

    @property
    def ask(self) -> Ask:
        """What is answered; until it is set, a request that could not be read."""
        return self._ask

    @ask.setter
    def ask(self, ask: Ask) -> None:
        self._ask, self._encoder = ask, encoder(ask.encoding)

    def has_format(self, fmt: str) -> None:
        """Says that there is a result."""
        self._fmt = fmt

    def write(self, chunk: bytes) -> None:
        """Takes a piece of the result."""
        self._held.append(chunk)
        self._size += len(chunk)
        if self._is_due():
            self._send(self._encoder.feed(self._take()), more=True, summary={})

    def finish(self, summary: dict[str, Any]) -> None:
        """Sends what is left and ends the response. The summary reaches the client only if nothing was sent before."""
        self._send(self._encoder.feed(self._take()) + self._encoder.finish(), more=False, summary=summary)

    def fail(self, error: EngineError) -> None:
        """An error's own status where that can still be said; else the response is broken off, marked, unfinished."""
        if not self.started:
            self._encoder = encoder(None)
            code = (b"x-clickhouse-exception-code", str(error.code).encode())
            body = error.body(self._version)
            length = (b"content-length", str(len(body)).encode())
            headers = [*self._common(), code, length, (b"content-type", b"text/plain; charset=UTF-8")]
            self._exchange.start(error.status, headers, body, more=False)
            return
        block = self._take() + mid_stream_block(error, self._version, self._tag)
        self._send(self._encoder.feed(block) + self._encoder.finish(), more=True, summary={})

    def _is_due(self) -> bool:
        if self._ask.whole and not self.started:
            return self._size >= _HELD_WHOLE
        return self._size >= _HELD or time.monotonic() - self._since > _HELD_SECONDS

    def _take(self) -> bytes:
        taken, self._held = b"".join(self._held), []
        self._size, self._since = 0, time.monotonic()
        return taken

    def _send(self, body: bytes, more: bool, summary: dict[str, Any]) -> None:
        if self.started:
            self._exchange.write(body, more)
            return
        self.started = True
        headers = self._headers(summary)
        if not more:
            headers.append((b"content-length", str(len(body)).encode()))
        self._exchange.start(200, headers, body, more)

    def _headers(self, summary: dict[str, Any]) -> Headers:
        headers = self._common()
        headers.append((b"x-clickhouse-summary", json.dumps(summary_of(summary)).encode()))
        headers.append((b"content-type", content_type(self._fmt).encode()))
        if self._fmt:
            headers.append((b"x-clickhouse-format", self._fmt.encode()))
        if self._ask.encoding:
            headers.append((b"content-encoding", self._ask.encoding.encode()))
        return headers

    def _common(self) -> Headers:
        return [
            (b"x-clickhouse-query-id", self._ask.query_id.encode("latin-1", "replace")),
            (b"x-clickhouse-server-display-name", self._server_name.encode()),
            (b"x-clickhouse-timezone", b"UTC"),
            (b"x-clickhouse-exception-tag", self._tag.encode()),
        ]


def summary_of(counts: dict[str, Any]) -> dict[str, str]:
    """The counters as a server writes them: all of them, as text."""
    names = "read_rows read_bytes written_rows written_bytes total_rows_to_read result_rows result_bytes elapsed_ns"
    return {name: str(counts.get(name, 0)) for name in names.split()}
