"""What each part answers to before any login. kubectl listens whether or not there is a pod: only an answer shows one."""

import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping

from backfill_pipeline.clients.loopback import LOOPBACK

# PostgreSQL's SSLRequest: one byte comes back, and a client that then leaves is not logged.
_POSTGRES = struct.pack("!ii", 8, 80877103)
_HTTP = b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
# HTTP/2's preface and empty settings: a gRPC server answers with its own.
_GRPC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def _tls() -> bytes:
    """A ClientHello; what comes back is not looked at, so nothing is verified here."""
    sent = ssl.MemoryBIO()
    session = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), sent, server_hostname="localhost")
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()
    raise AssertionError("a handshake without a server")


GREETINGS: Mapping[str, Callable[[], bytes]] = {
    "postgres": lambda: _POSTGRES,
    "http": lambda: _HTTP,
    "https": _tls,
    "grpc": lambda: _GRPC,
}


def why_no_answer(port: int, greeting: str, seconds: float) -> str:
    """Empty if the far side answers."""
    end = time.monotonic() + seconds
    try:
        with socket.create_connection((LOOPBACK, port), seconds) as connection:
            connection.sendall(GREETINGS[greeting]())
            connection.settimeout(max(end - time.monotonic(), 0.01))
            return "" if connection.recv(1) else "the connection was closed before an answer"
    except OSError as error:
        return f"no answer to a connection: {error or type(error).__name__}"
