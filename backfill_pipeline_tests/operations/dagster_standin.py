"""A webserver that gives Dagster's answers, for what a real Dagster is in for a moment alone."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REPOSITORY = {"name": "__repository__", "location": {"name": "any"}, "sensors": [{"name": "retry_failed_days"}]}


def answers(
    runs: list[dict[str, Any]] | None = None,
    backfills: list[dict[str, Any]] | None = None,
    sensor: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """By field. sensor: its state; None, there is none."""
    return {
        "runsOrError": {"__typename": "Runs", "results": runs or []},
        "partitionBackfillsOrError": {"__typename": "PartitionBackfills", "results": backfills or []},
        "repositoriesOrError": {"__typename": "RepositoryConnection", "nodes": [REPOSITORY] if sensor else []},
        "sensorOrError": {"__typename": "Sensor", "sensorState": sensor},
    }


def a_run(run_id: str, status: str, *path: str) -> dict[str, Any]:
    return {"id": run_id, "status": status, "assetSelection": [{"path": path}], "tags": [], "startTime": None}


def a_backfill(backfill_id: str, *paths: list[str], newest: list[str] | None = None, at: float = 0.0) -> dict[str, Any]:
    """Of ten days; newest: what its newest run is of."""
    days = {"ranges": [{"start": "2026-01-01", "end": "2026-01-10"}], "partitionKeys": None}
    return {
        "id": backfill_id,
        "status": "REQUESTED",
        "title": "",
        "timestamp": at,
        "assetSelection": [{"path": p} for p in paths],
        "assetBackfillData": {"rootTargetedPartitions": days},
        "runs": [{"assetSelection": [{"path": newest}]}] if newest else [],
    }


@contextmanager
def dagster(by_field: Mapping[str, Any]) -> Iterator[str]:
    """Its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["query"]
            body = json.dumps({"data": {f: a for f, a in by_field.items() if f in asked}}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Not into the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
