"""Hands bytes on between two networks that share only files: `python -m ...relay HERE THERE [HERE THERE ...]`.

An address is HOST:PORT, or the path of a socket, which any network namespace can use.
"""

import asyncio
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

PART = 1 << 16


def command(*pairs: tuple[str, str]) -> tuple[str, ...]:
    return (sys.executable, "-m", __name__, *(address for pair in pairs for address in pair))


async def _serve(addresses: Sequence[str]) -> None:
    await asyncio.gather(*(_relay(*pair) for pair in zip(addresses[::2], addresses[1::2], strict=True)))


async def _relay(here: str, there: str) -> None:
    async def handed_on(reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError):  # who is not there, or no longer, is the client's own business: its connection ends
            await _hand_on(reader, writer, there)
        writer.close()

    if here.startswith("/"):
        Path(here).unlink(missing_ok=True)  # of one that was killed
        server = await asyncio.start_unix_server(handed_on, here)
    else:
        host, port = here.split(":")
        server = await asyncio.start_server(handed_on, host, int(port))
    await server.serve_forever()


async def _hand_on(reader: StreamReader, writer: StreamWriter, there: str) -> None:
    other_reader, other_writer = await _connected(there)
    try:
        await asyncio.gather(_copy(reader, other_writer), _copy(other_reader, writer))
    finally:
        other_writer.close()


async def _connected(there: str) -> tuple[StreamReader, StreamWriter]:
    if there.startswith("/"):
        return await asyncio.open_unix_connection(there)
    host, port = there.split(":")
    return await asyncio.open_connection(host, int(port))


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    while part := await reader.read(PART):
        writer.write(part)
        await writer.drain()
    writer.write_eof()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1:]))
