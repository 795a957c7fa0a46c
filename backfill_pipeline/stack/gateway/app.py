"""The routes, and the hand-over from the event loop to the worker threads."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from backfill_pipeline.stack.gateway.compression import decoder
from backfill_pipeline.stack.gateway.exchange import Exchange
from backfill_pipeline.stack.gateway.request import Ask, Form, ask_of
from backfill_pipeline.stack.gateway.run import Runner

# A request keeps its thread while it streams or waits for a mutation; a hundred and first request waits for a thread.
THREADS = 100


class QueryEndpoint:
    """`/`: every statement comes here."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="query")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        decode = decoder(headers.get("content-encoding", ""))
        if "origin" in headers:  # only a browser's page sends it, and none of ours asks here
            await PlainTextResponse("Not for pages\n", 403)(scope, receive, send)
            return
        if scope["method"] not in ("GET", "POST") or decode is None:
            await PlainTextResponse("Not supported\n", 501)(scope, receive, send)
            return
        if scope["method"] == "GET" and b"query=" not in scope["query_string"]:
            await PlainTextResponse("Ok.\n")(scope, receive, send)
            return
        exchange = Exchange(receive, send)
        exchange.decoder = decode
        await exchange.begin()
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._serve, scope, headers, exchange)
        finally:
            await exchange.end()

    def _serve(self, scope: Scope, headers: Headers, exchange: Exchange) -> None:
        self._runner.serve(lambda: _ask(scope, headers, exchange), exchange)


def _ask(scope: Scope, headers: Headers, exchange: Exchange) -> Ask:
    kind = headers.get("content-type", "")
    form = Form(kind, b"".join(exchange.chunks())) if kind.startswith("multipart/form-data") else None
    return ask_of(scope["method"], scope["query_string"], headers, form)


async def _ok(request: Request) -> PlainTextResponse:
    return PlainTextResponse("Ok.\n")


def build_app(runner: Runner) -> Starlette:
    """The ASGI application over one engine."""
    return Starlette(
        # A page of another site, open in a browser on this machine, must not get an answer (DNS rebinding).
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "::1"])],
        routes=[
            Route("/ping", _ok, methods=["GET", "HEAD"]),
            Route("/replicas_status", _ok, methods=["GET", "HEAD"]),
            Route("/", QueryEndpoint(runner)),
        ],
    )
