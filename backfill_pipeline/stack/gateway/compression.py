"""Content-Encoding in both directions, a chunk at a time, by the libraries that clickhouse-connect brings."""

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import lz4.frame
from backports import zstd

from backfill_pipeline.stack.gateway.errors import EngineError

# Cheapest first: the other end of the wire is on this machine.
_PREFERRED = ("lz4", "zstd", "gzip", "deflate")


class Encoder(Protocol):
    """Takes chunks, gives what may be sent of them; one frame per response, as clients decode one frame only."""

    def feed(self, chunk: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class Decoder(Protocol):
    """Takes what was received, gives what it means; `finish` raises where the last frame was cut short."""

    def feed(self, chunk: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class Plain:
    """No encoding."""

    def feed(self, chunk: bytes) -> bytes:
        return chunk

    def finish(self) -> bytes:
        return b""


class _Lz4Encoder:
    def __init__(self) -> None:
        self._frame = lz4.frame.LZ4FrameCompressor(auto_flush=True)
        self._head = self._frame.begin()

    def feed(self, chunk: bytes) -> bytes:
        head, self._head = self._head, b""
        return bytes(head + self._frame.compress(chunk))

    def finish(self) -> bytes:
        head, self._head = self._head, b""
        return bytes(head + self._frame.flush())


class _ZstdEncoder:
    def __init__(self) -> None:
        self._frame = zstd.ZstdCompressor(level=1)

    def feed(self, chunk: bytes) -> bytes:
        return self._frame.compress(chunk, zstd.ZstdCompressor.FLUSH_BLOCK)

    def finish(self) -> bytes:
        return self._frame.flush()


class _ZlibEncoder:
    def __init__(self, wbits: int) -> None:
        self._frame = zlib.compressobj(level=1, wbits=wbits)

    def feed(self, chunk: bytes) -> bytes:
        return self._frame.compress(chunk)

    def finish(self) -> bytes:
        return self._frame.flush()


class _Frames:
    """A body may be many frames one after another: clickhouse-connect sends one per block."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._frame: Any = None

    def feed(self, chunk: bytes) -> bytes:
        try:
            return b"".join(self._pieces(chunk))
        except (RuntimeError, zlib.error, zstd.ZstdError) as error:
            raise _cannot_decompress(f"{type(error).__name__} in the request's body") from None

    def finish(self) -> bytes:
        if self._frame:
            raise _cannot_decompress("the request's body ends within a frame")
        return b""

    def _pieces(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            self._frame = self._frame or self._make()
            yield self._frame.decompress(chunk)
            chunk = b""
            if self._frame.eof:
                chunk, self._frame = self._frame.unused_data, None


def _cannot_decompress(what: str) -> EngineError:
    return EngineError.of(271, "CANNOT_DECOMPRESS", f"Cannot decompress: {what}")


_ENCODERS: dict[str, Callable[[], Encoder]] = {
    "lz4": _Lz4Encoder,
    "zstd": _ZstdEncoder,
    "gzip": lambda: _ZlibEncoder(31),
    "deflate": lambda: _ZlibEncoder(15),
}
_DECODERS: dict[str, Callable[[], Any]] = {
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zstd": zstd.ZstdDecompressor,
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "deflate": lambda: zlib.decompressobj(wbits=15),
}


def chosen_encoding(accepted: str) -> str | None:
    """The encoding to answer with, of those a client accepts."""
    offered = {part.split(";")[0].strip().lower() for part in accepted.split(",")}
    return next((name for name in _PREFERRED if name in offered), None)


def encoder(name: str | None) -> Encoder:
    """For one response."""
    return _ENCODERS[name]() if name else Plain()


def decoder(name: str) -> Decoder | None:
    """For one request; None where the encoding is unknown here."""
    if name in ("", "identity"):
        return Plain()
    return _Frames(_DECODERS[name]) if name in _DECODERS else None
