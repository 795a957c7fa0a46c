"""One HTTP exchange as a worker thread sees it: blocking reads and writes over the event loop's side of the socket."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from starlette.types import Message, Receive, Send

from backfill_pipeline.stack.gateway.compression import Decoder, Plain
from backfill_pipeline.stack.gateway.errors import ClientGone

T = TypeVar("T")
Headers = list[tuple[bytes, bytes]]


class Exchange:
    """The thread waits for each message to be taken, so neither a fast client nor a fast engine fills the memory."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._loop = asyncio.get_running_loop()
        self._read_ahead: list[Message] = []
        self._body_ended = False
        self._watcher: asyncio.Task[None] | None = None
        self._on_gone: Callable[[], None] = lambda: None
        self.gone = False
        self.send_seconds = 30.0  # a server's own `http_send_timeout`
        self.decoder: Decoder = Plain()

    async def begin(self) -> None:
        """Takes the first message on the loop: mostly it is the whole body, and no thread need wait for it."""
        message = await self._receive()
        self._read_ahead.append(message)
        self._after(message)

    async def end(self) -> None:
        """Stops watching."""
        if self._watcher:
            self._watcher.cancel()

    def when_gone(self, do: Callable[[], None]) -> None:
        """What to do, in a thread, if the client closes the connection before it was answered."""
        self._on_gone = do
        if self.gone:
            raise ClientGone

    def chunks(self) -> Iterator[bytes]:
        """The body, decoded, as it arrives. Raises ClientGone where it breaks off."""
        while self._read_ahead or not self._body_ended:
            message = self._read_ahead.pop() if self._read_ahead else self._wait(self._next())
            if message["type"] == "http.disconnect":
                self.gone = True
                raise ClientGone
            if chunk := self.decoder.feed(message.get("body", b"")):
                yield chunk
        # An insert whose end is missing must fail, not be shorter.
        self.decoder.finish()

    def start(self, status: int, headers: Headers, body: bytes, more: bool) -> None:
        """Sends the headers and a first part of the body."""
        self._sent(self._send_start(status, headers, body, more))

    def write(self, body: bytes, more: bool = True) -> None:
        """Sends another part; returns when the socket has room for the next."""
        if self.gone:
            raise ClientGone
        self._sent(self._send_body(body, more))

    def _sent(self, coroutine: Coroutine[Any, Any, None]) -> None:
        sending = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            sending.result(self.send_seconds)
        except TimeoutError:
            # A query stays in the engine until its result was taken: no kill would end it, and `KILL ... SYNC` hang.
            sending.cancel()
            self.gone = True
            raise ClientGone from None

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _send_start(self, status: int, headers: Headers, body: bytes, more: bool) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send_body(body, more)

    async def _send_body(self, body: bytes, more: bool) -> None:
        if not more:
            # A complete answer, too, is told as `http.disconnect`: every query that had ended would be killed.
            await self.end()
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def _next(self) -> Message:
        message = await self._receive()
        self._after(message)
        return message

    def _after(self, message: Message) -> None:
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._body_ended = True
            self._watcher = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        """Behind the body there is but one message: that the client is gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        await asyncio.to_thread(self._on_gone)
