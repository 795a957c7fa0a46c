"""What a kubelet serves of its containers' logs: the API server hands `kubectl logs` on to here."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from backfill_pipeline.clients.loopback import LOOPBACK
from backfill_pipeline.stack.kubernetes.node.container import log_of
from backfill_pipeline.stack.kubernetes.node.pod import Pod

PAUSE_SECONDS = 0.05
Find = Callable[[str, str, str], Pod | None]  # namespace, pod, container


def serve(find: Find, certificate: Path, key: Path) -> int:
    """Serves from now on; the port."""
    server = ThreadingHTTPServer((LOOPBACK, 0), type("Handler", (Logs,), {"find": staticmethod(find)}))
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


class Logs(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    find: Find

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        kind, *names = address.path.strip("/").split("/")
        pod = self.find(*names) if kind == "containerLogs" and len(names) == 3 else None
        self.send_response(200 if pod else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if pod:
            asked = {k: v[0] for k, v in parse_qs(address.query).items()}
            for part in written(pod, names[2], asked):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        """Its own requests are nobody's business."""


def written(pod: Pod, container: str, asked: dict[str, str]) -> Iterator[bytes]:
    """Parts of the log, as they are written where `follow` is asked for."""
    since, left = _since(asked), int(asked.get("limitBytes", 1 << 62))
    tail = int(asked["tailLines"]) if "tailLines" in asked else None
    for lines in _read(pod, container, follow=asked.get("follow") == "true"):
        wanted = [line for line in lines if not since or line[: len(since)].decode() >= since]
        wanted, tail = (wanted[-tail:] if tail else []) if tail is not None else wanted, None
        text = wanted if asked.get("timestamps") == "true" else [line.split(b" ", 1)[1] for line in wanted]
        part = b"".join(line + b"\n" for line in text)[:left]
        left -= len(part)
        if part:
            yield part
        if left <= 0:
            return


def _read(pod: Pod, container: str, *, follow: bool) -> Iterator[list[bytes]]:
    path, place, rest = log_of(pod.folder, container), 0, b""
    while True:
        is_over = "terminated" in pod.states[container] or pod.over.is_set()  # asked before the file is read
        if path.exists():
            with path.open("rb") as log:
                log.seek(place)
                *lines, rest = (rest + log.read()).split(b"\n")
                place = log.tell()
            yield lines
        if is_over or not follow:
            return
        time.sleep(PAUSE_SECONDS)


def _since(asked: dict[str, str]) -> str:
    """To the second, which is what Kubernetes keeps of a time."""
    if "sinceSeconds" in asked:
        moment = datetime.now(UTC) - timedelta(seconds=int(asked["sinceSeconds"]))
        return moment.strftime("%Y-%m-%dT%H:%M:%S")
    return asked.get("sinceTime", "")[:19]
