"""`python -m backfill_pipeline.stack.gateway --path DIR --port N`: serves one shard until SIGTERM."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from backfill_pipeline.stack.gateway.app import build_app
from backfill_pipeline.stack.gateway.config_xml import server_name
from backfill_pipeline.stack.gateway.engine import Engine
from backfill_pipeline.stack.gateway.replicated import ReplicatedTables
from backfill_pipeline.stack.gateway.run import Runner
from backfill_pipeline.stack.gateway.sandbox import confine

# Below the five seconds that whoever stops the stack waits before it kills.
_GRACE_SECONDS = 4


class _Server(uvicorn.Server):
    """Ends with code 0 on a signal, where uvicorn would raise it again."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True


class _NoUnfinished(logging.Filter):
    """An unfinished response tells of an error in mid-stream, and one not begun has lost its client: no news."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("ASGI callable returned without")


def main() -> None:
    """Reads the command line and serves."""
    options = _options()
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("uvicorn.error").addFilter(_NoUnfinished())
    options.path.mkdir(parents=True, exist_ok=True)
    directory = options.path.resolve()
    confine(directory, options.port, options.dial)
    engine = Engine(directory, options.shard, options.max_memory)
    runner = Runner(engine, ReplicatedTables(directory / "replicated_tables"), server_name(options.shard))
    _serve(runner, options)
    # Not sys.exit: it would wait for threads whose clients never take their answers. What was acknowledged is on disk.
    logging.shutdown()
    os._exit(0)


def _serve(runner: Runner, options: argparse.Namespace) -> None:
    config = uvicorn.Config(
        build_app(runner),
        host=options.host,
        port=options.port,
        log_config=None,
        log_level="warning",
        access_log=False,  # it would hold the addresses, and with them the parameters
        timeout_graceful_shutdown=_GRACE_SECONDS,
        lifespan="off",
        timeout_keep_alive=75,
    )
    server = _Server(config)
    server.run()
    if not server.started:
        os._exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m backfill_pipeline.stack.gateway", description=__doc__)
    parser.add_argument(
        "--path", type=Path, required=True, help="the data directory; one process at a time may hold it"
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--host", default="127.0.0.1", help="anything but loopback opens the data to whoever can reach it"
    )
    parser.add_argument("--shard", type=int, default=1, help="this shard's number, as the macro {shard} gives it")
    parser.add_argument(
        "--max-memory", type=int, default=0, help="bytes the engine may use; 0: nine tenths of the machine"
    )
    parser.add_argument(
        "--dial", type=int, action="append", default=[], help="a port that statements may connect to; without it: none"
    )
    parser.add_argument("--log-level", default="warning", choices=["debug", "info", "warning", "error"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
