"""The one engine of this process, and a connection of its own for every request."""

import contextlib
import fcntl
import importlib
import os
import re
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from backfill_pipeline.stack.gateway.config_xml import write_config
from backfill_pipeline.stack.gateway.errors import EngineError

# Where the embedded engine differs from a server, or this version from those the pipeline meets in production:
# an asynchronous insert is merged with its neighbours', and a mutation that is waited for hides what polling finds.
_DEFAULTS = {
    "mutations_sync": "0",
    "async_insert": "0",
    "implicit_select": "0",
    "allow_introspection_functions": "0",
    "storage_file_read_method": "pread",
}
# The engine's own first database shows the files of the machine as tables (`SELECT * FROM '/etc/passwd'`, also through
# `remote()` or a Distributed table). It gets another name than `default` and is dropped before anybody can ask.
_FILES_AS_TABLES = "files_as_tables"
_ATTACH_DEFAULT = "ATTACH DATABASE _ UUID '{uuid}'\nENGINE = Atomic\n"
# The engine draws a query's id by itself and knows no custom settings, so a running query is found by a text setting
# that has no effect on one host. It is shown in `system.processes` and `system.query_log`.
HANDLE_SETTING = "cluster_for_parallel_replicas"
_PLAIN = re.compile(r"[\w-]+", re.ASCII)


def quoted(value: str) -> str:
    """A string literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def quoted_name(name: str) -> str:
    """An identifier."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


@contextlib.contextmanager
def engine_errors() -> Iterator[None]:
    """The binding raises RuntimeError for whatever the engine says."""
    try:
        yield
    except RuntimeError as error:
        raise EngineError(str(error)) from None


class Connection:
    """One request's connection: its database, settings and parameters end with it. For one thread at a time."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def run(self, sql: str | bytes, fmt: str = "TabSeparated") -> Any:
        """Runs a statement to its end; the result holds all of its output."""
        with engine_errors():
            return self.raw.query(sql, fmt)

    def text(self, sql: str | bytes) -> str:
        """A statement's output as text without the last line break."""
        output: bytes = self.run(sql, "TabSeparatedRaw").bytes()
        return output.decode().removesuffix("\n")

    def stream(self, sql: bytes, fmt: str) -> Generator[Any, None, None]:
        """A query's chunks as they come, each a whole document. The iterator must be closed before the connection."""
        with engine_errors():
            handle = self.raw.send_query(sql, fmt)
            try:
                while True:
                    chunk = self.raw.streaming_fetch_result(handle)
                    if not chunk.size():
                        return
                    yield chunk
            except GeneratorExit:
                self.raw.streaming_cancel_query(handle)
                raise
            finally:
                # A handle that outlives its connection, in the frame of an error, takes the process down.
                del handle

    def insert(self, sql: bytes, fmt: str, chunks: Iterator[bytes]) -> Any:
        """Feeds an INSERT as its data arrives; an error on the way gives up what was not written yet.

        Does not tell of every error: see `inserts`.
        """
        with engine_errors():
            handle = self.raw.send_insert(sql, fmt)
            try:
                for chunk in chunks:
                    self.raw.insert_append(handle, chunk)
            except BaseException:
                with contextlib.suppress(RuntimeError):
                    self.raw.insert_cancel(handle)
                raise
            else:
                return self.raw.insert_done(handle)
            finally:
                del handle  # as above


class Engine:
    """Holds the engine open: while one handle stays, opening another costs a fraction of a millisecond."""

    def __init__(self, directory: Path, shard: int, max_memory: int) -> None:
        self._lock = _locked(directory)
        self._chdb = _engine_in_utc()
        config = write_config(directory, shard, max_memory)
        _own_default_database(directory / "data" / "metadata")
        # A signal ends the HTTP server first, which then ends the engine.
        self._chdb.set_signal_handlers_enabled(0)
        pairs = {"config-file": str(config), "default_database": _FILES_AS_TABLES, **_DEFAULTS}
        self._url = f"{directory / 'data'}?" + "&".join(f"{name}={value}" for name, value in pairs.items())
        self._root = self._chdb.connect(self._url)
        with self.connect() as connection:
            connection.run(f"DROP DATABASE IF EXISTS {_FILES_AS_TABLES} SYNC")
            self.version = connection.text("SELECT version()")

    @contextlib.contextmanager
    def connect(
        self, database: str = "", settings: Mapping[str, str] | None = None, handle: str = ""
    ) -> Iterator[Connection]:
        """A fresh connection. `settings` may hold `param_*`; `handle` is what `kill` finds its queries by."""
        # Settings of clients do not go into the address: there an unknown one would be ignored, where SET refuses it.
        # The handle does, as that spares a statement, unless a character of it would be read as part of the address.
        plain = _PLAIN.fullmatch(handle)
        raw = self._chdb.connect(f"{self._url}&{HANDLE_SETTING}={handle}" if plain else self._url)
        settings = {**(settings or {}), **({HANDLE_SETTING: handle} if handle and not plain else {})}
        try:
            connection = Connection(raw)
            if database not in ("", "default"):
                connection.run(f"USE {quoted_name(database)}")
            if settings:
                pairs = ", ".join(f"{quoted_name(name)} = {quoted(value)}" for name, value in settings.items())
                connection.run(f"SET {pairs}")
            yield connection
        finally:
            raw.close()

    def kill(self, handle: str) -> None:
        """Ends a request's query, from any thread."""
        with self.connect() as connection:
            connection.run(f"KILL QUERY WHERE Settings['{HANDLE_SETTING}'] = {quoted(handle)} ASYNC")

    def close(self) -> None:
        """Lets go of the data directory."""
        self._root.close()


def _locked(directory: Path) -> IO[str]:
    """The engine's own refusal of a second process does not say what it refuses. A kill lets go of the lock."""
    lock = (directory / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise SystemExit(f"another gateway holds {directory}: one process per data directory") from None
    return lock


def _own_default_database(metadata: Path) -> None:
    """Makes `default` a database as a server has it; one that the engine made in its own way keeps its tables."""
    metadata.mkdir(parents=True, exist_ok=True)
    statement, link = metadata / "default.sql", metadata / "default"
    if not statement.exists():
        uuid = link.readlink().name if link.is_symlink() else str(uuid4())
        statement.write_text(_ATTACH_DEFAULT.format(uuid=uuid))
    # The engine's own first database would take the UUID that the link names; the link is made again at every start.
    link.unlink(missing_ok=True)


def _engine_in_utc() -> Any:
    """The embedded engine takes its zone from the process when it is loaded, and heeds no <timezone>: so, loaded late."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    return importlib.import_module("chdb._chdb")
