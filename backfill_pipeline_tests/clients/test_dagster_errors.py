"""What goes wrong in Dagster is told as what it is, by the pinned Dagster's own webserver."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_webserver.webserver import DagsterWebserver

from backfill_pipeline.clients.dagster import DagsterClient
from backfill_pipeline.clients.dagster_errors import answered
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.operations.wait import wait
from backfill_pipeline_tests.operations.dagster_standin import dagster
from backfill_pipeline_tests.operations.past import window

SECONDS = 20.0
RUN, BACKFILL = "00000000-0000-0000-0000-000000000000", "abcdefgh"
CHANGES: dict[str, Callable[[DagsterClient], object]] = {
    "launch the backfill": lambda c: c.launch_backfill([["a"]], window(1, 2), title=""),
    "cancel the backfill": lambda c: c.cancel_backfill(BACKFILL),
    "set the limit of the pool": lambda c: c.set_pool_limit("clickhouse_north", 0),
}


@contextmanager
def webserver(folder: Path, *, read_only: bool = False) -> Iterator[DagsterClient]:
    """Dagster's own, without code locations, on a storage in this folder."""
    with (
        DagsterInstance.local_temp(str(folder)) as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget(), read_only=read_only) as context,
    ):
        create_run_for_test(instance, "rebuild", RUN, status=DagsterRunStatus.STARTED)
        instance.add_backfill(_backfill())
        app = DagsterWebserver(context).create_asgi_app()
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            yield DagsterClient(f"http://127.0.0.1:{_port(server)}", seconds=SECONDS)
        finally:
            server.should_exit = True
            thread.join(SECONDS)


def _backfill() -> PartitionBackfill:
    return PartitionBackfill(
        backfill_id=BACKFILL,
        status=BulkActionStatus.REQUESTED,
        from_failure=False,
        tags={},
        backfill_timestamp=0.0,
        asset_selection=[],
        partition_names=["2026-01-01"],
    )


def _port(server: uvicorn.Server) -> int:
    end = time.monotonic() + SECONDS
    while not server.started:
        assert time.monotonic() < end, "the webserver does not start"
        time.sleep(0.02)
    return int(server.servers[0].sockets[0].getsockname()[1])


def broken(folder: Path) -> None:
    """Every file of Dagster's storage is one no more."""
    for path in folder.rglob("*.db"):
        path.write_bytes(b"no database" * 1000)


def told(call: Callable[[], object]) -> PipelineError:
    with pytest.raises(PipelineError) as error:
        call()
    return error.value


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterClient]:
    with webserver(tmp_path_factory.mktemp("read-only"), read_only=True) as client:
        yield client


@pytest.mark.parametrize("asked", CHANGES)
def test_a_webserver_that_may_change_nothing_is_told_as_one_that_is_away(read_only: DagsterClient, asked: str) -> None:
    error = told(lambda: CHANGES[asked](read_only))
    assert (error.what, error.kind) == (f"Dagster does not permit to {asked}", Kind.STOP)
    assert "the webserver is read-only" in error.why


def test_a_webserver_that_may_change_nothing_shows_nothing_either(read_only: DagsterClient) -> None:
    assert [r.run_id for r in read_only.unfinished_runs()] == [RUN]
    assert [b.backfill_id for b in read_only.unfinished_backfills()] == [BACKFILL]
    assert read_only.sensor("any") is None


def test_a_run_that_may_not_be_ended_is_told_without_its_id(read_only: DagsterClient) -> None:
    assert read_only.terminate([RUN]) == {RUN: "You do not have permission to terminate this run"}


def test_a_storage_that_is_away_is_told_as_a_mistake_of_the_selection(tmp_path: Path) -> None:
    questions: dict[str, Callable[[DagsterClient], object]] = {
        "list the runs": lambda c: c.unfinished_runs(),
        "list the backfills": lambda c: c.unfinished_backfills(),
        "say how the backfill is": lambda c: c.backfill(BACKFILL),
        "set the limit of the pool": CHANGES["set the limit of the pool"],
    }
    with webserver(tmp_path) as client:
        assert len(client.unfinished_runs()) == 1
        broken(tmp_path)
        errors = {asked: told(lambda call=call: call(client)) for asked, call in questions.items()}  # type: ignore[misc]
    assert {e.what for e in errors.values()} == {f"Dagster failed to {asked}" for asked in questions}
    assert {e.kind for e in errors.values()} == {Kind.RETRY}
    assert "file is not a database" in errors["list the runs"].why
    assert "SELECT" not in " ".join(map(str, errors.values())), "nobody who reads this wrote it"
    assert "selection" not in " ".join(map(str, errors.values()))


def test_a_backfill_that_is_gone_is_told_as_a_mistake_of_the_selection(read_only: DagsterClient) -> None:
    error = told(lambda: read_only.backfill("nobodies"))
    assert (error.what, error.kind) == ("Dagster refuses to say how the backfill is", Kind.STOP)
    assert "BackfillNotFoundError" in error.why
    assert "selection" not in error.next_step


@pytest.mark.parametrize("kind", ["InvalidSubsetError", "PartitionKeysNotFoundError"])
def test_days_that_dagster_does_not_have_are_told_as_its_own_failure(kind: str) -> None:
    body = {"data": {"launchPartitionBackfill": {"__typename": kind, "message": "no such partition"}}}
    error = told(lambda: answered("there", "launchPartitionBackfill", body))
    assert (error.what, error.kind) == ("Dagster refuses to launch the backfill", Kind.STOP)
    assert "correct the selection" in error.next_step
    assert "no such partition" in error.why


def test_a_dagster_of_another_version_is_asked_for_hours(read_only: DagsterClient) -> None:
    error = told(lambda: read_only._ask("query Runs { runsOrError { beginTime } }", "runsOrError", {}))
    assert error.kind is Kind.STOP
    assert "Cannot query field" in error.why


@contextmanager
def page(code: int, body: str) -> Iterator[DagsterClient]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Not into the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield DagsterClient(f"http://127.0.0.1:{server.server_port}", seconds=SECONDS)
    finally:
        server.shutdown()
        server.server_close()


NO_GRAPHQL: Any = [
    (200, "<html>login</html>", "not Dagster's GraphQL"),
    (200, "[]", "not Dagster's GraphQL"),
    (200, json.dumps({"data": None}), "not Dagster's GraphQL"),
    (200, json.dumps({"errors": "who are you"}), "not Dagster's GraphQL"),
    (502, "<html>nobody behind me</html>", "HTTP Error 502: Bad Gateway"),
    (503, json.dumps({"detail": "busy"}), "HTTP Error 503: Service Unavailable"),
]


def test_an_address_at_which_nobody_listens_is_told_in_the_words_of_a_library() -> None:
    error = told(DagsterClient("http://127.0.0.1:1", seconds=SECONDS).unfinished_runs)
    assert (error.kind, error.why) == (Kind.UNREACHABLE, "[Errno 111] Connection refused")


@pytest.mark.parametrize(("code", "body", "why"), NO_GRAPHQL)
def test_what_is_not_dagster_is_read_as_its_answer(code: int, body: str, why: str) -> None:
    with page(code, body) as client:
        error = told(client.unfinished_runs)
    assert (error.what, error.kind) == ("Dagster's webserver does not answer", Kind.UNREACHABLE)
    assert why in error.why


def test_a_wait_of_hours_ends_as_failed_when_dagsters_storage_is_away_for_a_moment() -> None:
    going: dict[str, Any] = {"__typename": "PartitionBackfill", "id": "b1", "status": "REQUESTED", "runs": []}
    away = {"__typename": "PythonError", "message": "terminating connection due to administrator command"}
    answers, told = {"partitionBackfillOrError": going}, list[str]()

    def next_answer(_: float) -> None:
        field = answers["partitionBackfillOrError"]
        answers["partitionBackfillOrError"] = away if field is going else {**going, "status": "COMPLETED"}

    with dagster(answers) as url:
        client = DagsterClient(url)
        states = wait(client, {"north": "b1"}, lambda _: None, lambda e: told.append(e.what), sleep=next_answer)
    assert states["north"].status == "COMPLETED"
    assert told == ["Dagster failed to say how the backfill is"]


def test_a_server_that_is_no_dagster_is_told_as_one_that_is_away(tmp_path: Path) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        error = told(DagsterClient(f"http://127.0.0.1:{server.server_port}", seconds=SECONDS).unfinished_runs)
        server.shutdown()
    assert (error.what, error.kind) == ("What answers there is no Dagster webserver", Kind.UNREACHABLE)
