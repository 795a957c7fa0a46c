"""Dagster's three processes on a PostgreSQL storage, with definitions of the tests' own."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from backfill_pipeline.stack.embedded_config import StackCluster
from backfill_pipeline.stack.password import ensure_password
from backfill_pipeline.stack.processes import PROJECT, marked_with
from backfill_pipeline.stack.state import StackState, last_state
from backfill_pipeline.stack.supervisor import Stack
from backfill_pipeline_tests.stack.foreground import everything_written, left_of, until

STANDIN = "backfill_pipeline_tests.stack.standin"
LOCATIONS = "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }"
LAUNCH = """mutation ($asset: String!) {
  launchRun(executionParams: {selector: {repositoryLocationName: "backfill_pipeline", repositoryName: "__repository__",
    jobName: "__ASSET_JOB", assetSelection: [{path: [$asset]}]}}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackState]:
    clusters = (StackCluster("north", {"acme": ["default"]}),)
    folder = tmp_path_factory.mktemp("dagster")
    with Stack(folder, clusters, parts={"postgres", "dagster"}, definitions=STANDIN) as state:
        yield state
    assert left_of(state) == []


def ask(state: StackState, query: str, **variables: Any) -> Any:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{state.dagster_url}/graphql", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["data"]


def launch(state: StackState, asset: str) -> str:
    answer = ask(state, LAUNCH, asset=asset)["launchRun"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])


def status(state: StackState, run: str) -> str:
    return str(ask(state, STATUS, id=run)["runOrError"]["status"])


def test_a_run_from_the_ui_goes_through_queue_and_code_server(stack: StackState) -> None:
    assert ask(stack, LOCATIONS)["workspaceOrError"]["locationEntries"] == [
        {"name": "backfill_pipeline", "loadStatus": "LOADED"}
    ]
    run = launch(stack, "answer")
    assert until(lambda: status(stack, run) == "SUCCESS", "the run is green")


def test_the_password_stands_in_no_log_of_dagster(stack: StackState) -> None:
    password = ensure_password(stack.folder)
    written = everything_written(stack.folder)
    assert any("daemon.log" in name for name in written)
    assert [name for name, text in written.items() if password in text] == []


def test_trap_12_no_run_outlives_its_code_server_and_the_next_one_serves(stack: StackState) -> None:
    run = launch(stack, "slow")
    until(lambda: status(stack, run) == "STARTED", "the slow run has started")
    known = set(stack.pids.values())
    workers = [p for p in marked_with(stack.id) if p.pid not in known]
    assert workers
    os.kill(stack.pids["code-server"], signal.SIGKILL)
    until(lambda: _restarts(stack.folder) == 1, "the code server's restart")
    assert not [p for p in workers if _lives(p)]
    assert status(stack, run) == "FAILURE"  # else it would keep its pool for ever
    again = launch_when_served(stack)
    assert until(lambda: status(stack, again) == "SUCCESS", "a run after the restart")


def launch_when_served(state: StackState) -> str:
    """The webserver needs a moment to see that the code server is back."""

    def try_it() -> str | None:
        answer = ask(state, LAUNCH, asset="answer")
        run = (answer or {}).get("launchRun", {}).get("run")
        return run["runId"] if run else None

    return until(try_it, "a launch")


def _restarts(folder: Path) -> int:
    state = last_state(folder)
    return state.restarts.get("code-server", 0) if state and "code-server" in state.processes else 0


def _lives(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)


def test_the_projects_own_definitions_load_as_operators_validate_them(stack: StackState) -> None:
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"]
    env = {**os.environ, **stack.environment()}
    validated = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=120)
    assert validated.returncode == 0, validated.stderr
    assert "Validation successful for code location backfill_pipeline" in validated.stdout
