"""An API server that takes one login and has no Jobs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(BaseHTTPRequestHandler):
    takes = ""
    scheme = "Bearer"

    def do_GET(self) -> None:
        is_known = self.headers["Authorization"] == f"{type(self).scheme} {type(self).takes}"
        status, answer = (200, {"items": []}) if "pods" in self.path else (404, {"message": "not found"})
        self.send_response(status if is_known else 401)
        self.end_headers()
        self.wfile.write(json.dumps(answer if is_known else {"message": "Unauthorized"}).encode())

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


@contextmanager
def served() -> Iterator[str]:
    """Its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as here:
        threading.Thread(target=here.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{here.server_port}"
        here.shutdown()
