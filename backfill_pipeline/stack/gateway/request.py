"""What one HTTP request asks for, apart from the data in its body."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from backfill_pipeline.stack.gateway.compression import chosen_encoding

# Belong to HTTP, or to a part of a server that is not here (users, roles, quotas, sessions), and not to the engine.
_NOT_SETTINGS = frozenset(
    (
        *("query", "database", "query_id", "default_format", "compress", "decompress", "buffer_size", "stacktrace"),
        *("user", "password", "quota_key", "role", "session_id", "session_timeout", "session_check", "close_session"),
        *("wait_end_of_query", "client_protocol_version", "enable_http_compression", "http_zlib_compression_level"),
        *("send_progress_in_http_headers", "http_headers_progress_interval_ms", "add_http_cors_header"),
        "cancel_http_readonly_queries_on_client_close",
    )
)
_EXTERNAL = re.compile(r"(.+)_(format|types|structure)")


@dataclass(frozen=True)
class External:
    """A table that a client sends along with its query."""

    name: str
    structure: str
    fmt: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Ask:
    """A request's query text from its address, and how it is to be run and answered."""

    query: bytes = field(repr=False)
    database: str
    query_id: str
    settings: Mapping[str, str] = field(repr=False)
    default_format: str
    encoding: str | None
    whole: bool  # the client waits for the end, so that an error keeps its status
    by_get: bool
    externals: tuple[External, ...] = ()


# What an error answers that comes before the request was read.
UNREAD = Ask(b"", "", "unread", {}, "", None, whole=False, by_get=False)


def ask_of(method: str, query_string: bytes, headers: Mapping[str, str], form: "Form | None" = None) -> Ask:
    """Reads address, headers and form."""
    given = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, errors="surrogateescape")
    params = {**dict(given), **(form.fields if form else {})}
    externals = form.externals(params) if form else ()
    belonging = {f"{table.name}_{what}" for table in externals for what in ("format", "types", "structure")}
    return Ask(
        query=params.get("query", "").encode(errors="surrogateescape"),
        database=params.get("database") or headers.get("x-clickhouse-database", ""),
        query_id=params.get("query_id") or str(uuid.uuid4()),
        settings={k: v for k, v in params.items() if k not in _NOT_SETTINGS and k not in belonging},
        default_format=params.get("default_format") or headers.get("x-clickhouse-format", ""),
        encoding=_encoding(params, headers),
        whole=_is_on(params.get("wait_end_of_query", "0")),
        by_get=method == "GET",
        externals=externals,
    )


def _encoding(params: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
    if not _is_on(params.get("enable_http_compression", "0")):
        return None
    return chosen_encoding(headers.get("accept-encoding", ""))


def _is_on(value: str) -> bool:
    return value.lower() in ("1", "true")


class Form:
    """A multipart/form-data body: values of parameters, and files that are external tables."""

    def __init__(self, content_type: str, body: bytes) -> None:
        boundary = re.search(r'boundary="?([^";]+)"?', content_type)
        self.fields: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        for part in body.split(b"--" + boundary.group(1).encode())[1:-1] if boundary else ():
            self._take(part)

    def _take(self, part: bytes) -> None:
        head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'[; ]name="([^"]*)"', head)
        if name is None:
            return
        value, key = value.removesuffix(b"\r\n"), name.group(1).decode()
        if b"filename=" in head:
            self.files[key] = value
        else:
            self.fields[key] = value.decode(errors="surrogateescape")

    def externals(self, params: Mapping[str, str]) -> tuple[External, ...]:
        """The files as tables, by the parameters that describe them."""
        return tuple(self._external(name, data, params) for name, data in self.files.items())

    @staticmethod
    def _external(name: str, data: bytes, params: Mapping[str, str]) -> External:
        structure = params.get(f"{name}_structure")
        if structure is None:
            types = params.get(f"{name}_types", "").split(",")
            structure = ", ".join(f"_{at} {kind}" for at, kind in enumerate(types, 1))
        return External(name, structure, params.get(f"{name}_format", "TabSeparated"), data)
