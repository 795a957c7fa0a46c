"""The whole life of a stack on real parts: PostgreSQL and one ClickHouse gateway."""

import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import psutil
import psycopg
import pytest

from backfill_pipeline.config import ENV_CONFIG, load
from backfill_pipeline.stack.embedded_config import StackCluster
from backfill_pipeline.stack.password import ENV_PASSWORD, ensure_password
from backfill_pipeline.stack.processes import ENV_STACK_ID
from backfill_pipeline.stack.state import StackState, last_state, running_stack
from backfill_pipeline.stack.supervisor import AlreadyRunning, Stack
from backfill_pipeline_tests.stack.foreground import (
    end,
    everything_written,
    left_of,
    ready,
    recorded_pids,
    stack_in_foreground,
    until,
)

PARTS = "postgres,gateways"
CLUSTERS = (StackCluster("north", {"acme": ["default"]}),)


def connect(state: StackState, database: str = "source_north", password: str | None = None) -> psycopg.Connection:
    assert state.postgres is not None
    return psycopg.connect(
        host=state.postgres.host,
        port=state.postgres.port,
        user="postgres",
        password=password or ensure_password(state.folder),
        dbname=database,
        autocommit=True,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture
def stack(folder: Path) -> Iterator[StackState]:
    with Stack(folder, CLUSTERS, parts={"postgres", "gateways"}) as state:
        yield state


def test_a_bare_folder_becomes_databases_and_a_gateway_that_ordinary_clients_use(stack: StackState) -> None:
    with connect(stack) as source:
        tables = source.execute("SELECT count(*) FROM pg_tables WHERE schemaname IN ('app', 'director')").fetchone()
        assert tables == (6,)
        assert source.execute("SHOW timezone").fetchone() == ("UTC",)
        assert source.execute("SHOW fsync").fetchone() == ("on",)
        assert source.execute("SHOW max_connections").fetchone() == ("200",)
    for database in ("dagster", "ledger"):
        connect(stack, database).close()
    gateway = stack.gateways["north"][0]
    assert clickhouse_connect.get_client(host=gateway.host, port=gateway.port).command("SELECT 1") == 1


def test_nobody_gets_into_the_databases_without_the_password(stack: StackState) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(stack, password="wrong")


def test_the_password_stands_in_no_log_and_no_file_but_its_own(stack: StackState) -> None:
    password = ensure_password(stack.folder)
    holders = [name for name, text in everything_written(stack.folder).items() if password in text]
    assert holders == []
    mode = (stack.folder / "postgres.password").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    arguments = [" ".join(p.cmdline()) for p in left_of(stack)]
    assert not any(password in line for line in arguments)
    assert password not in repr(stack)


def test_nothing_listens_beyond_loopback(stack: StackState) -> None:
    listening = [
        c.laddr.ip for p in left_of(stack) for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 2
    assert set(listening) == {"127.0.0.1"}


def test_other_processes_get_all_that_they_need_from_the_environment(
    stack: StackState, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stack.environment().items():
        monkeypatch.setenv(name, value)
    config = load(os.environ[ENV_CONFIG])
    assert config.ledger is not None
    assert config.ledger.password() == os.environ[ENV_PASSWORD] == ensure_password(stack.folder)


def test_a_second_start_says_where_the_first_one_is(stack: StackState) -> None:
    with pytest.raises(AlreadyRunning) as error:
        Stack(stack.folder, CLUSTERS, parts={"postgres"}).start()
    assert str(stack.postgres) in str(error.value)
    assert str(os.getpid()) in str(error.value)
    assert error.value.state == running_stack(stack.folder)
    connect(stack).close()  # and the first one runs on


def test_rows_and_addresses_survive_a_stop(folder: Path) -> None:
    with Stack(folder, CLUSTERS, parts={"postgres", "gateways"}) as first, connect(first, "ledger") as ledger:
        ledger.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    assert running_stack(folder) is None
    with Stack(folder, CLUSTERS, parts={"postgres", "gateways"}) as second, connect(second, "ledger") as ledger:
        assert ledger.execute("SELECT answer FROM kept").fetchone() == (42,)
        assert second.ports == first.ports


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_no_process_is_left_after(folder: Path, number: signal.Signals) -> None:
    with stack_in_foreground(folder, PARTS) as process:
        state = ready(folder, process)
        assert len(state.processes) == 2
        written = end(process, number)
    assert process.returncode == 0, written
    assert left_of(state) == []
    assert running_stack(folder) is None


def test_no_process_is_left_after_ctrl_c_in_the_middle_of_a_start(tmp_path: Path) -> None:
    with stack_in_foreground(tmp_path, PARTS) as process:
        until(lambda: "postgres" in recorded_pids(tmp_path), "the first process")
        state = last_state(tmp_path)
        end(process, signal.SIGINT)
    assert state is not None
    assert left_of(state) == []


def test_a_gateway_that_was_killed_comes_back_at_its_address(folder: Path) -> None:
    with stack_in_foreground(folder, PARTS) as process:
        state = ready(folder, process)
        os.kill(state.pids["gateway-north-1"], signal.SIGKILL)
        until(
            lambda: recorded_pids(folder).get("gateway-north-1") not in {None, state.pids["gateway-north-1"]}, "a new"
        )
        gateway = state.gateways["north"][0]
        until(lambda: _answers(gateway.host, gateway.port), "its answer")
        written = end(process, signal.SIGINT)
    assert "gateway-north-1: killed by signal 9; starts again" in written


def test_no_row_is_lost_when_postgres_is_killed(folder: Path) -> None:
    with stack_in_foreground(folder, PARTS) as process:
        state = ready(folder, process)
        with connect(state, "ledger") as ledger:
            ledger.execute("CREATE TABLE survivors AS SELECT 7 AS n")
        os.kill(state.pids["postgres"], signal.SIGKILL)
        assert until(lambda: _survivors(state), "PostgreSQL is back") == (7,)


def test_a_supervisor_that_was_killed_leaves_nothing_and_the_next_start_works(folder: Path) -> None:
    with stack_in_foreground(folder, PARTS) as process:
        state = ready(folder, process)
        job = psutil.Popen(["sleep", "600"], env={**os.environ, ENV_STACK_ID: state.id}, start_new_session=True)
        process.kill()
        process.wait()
        with Stack(folder, CLUSTERS, parts={"postgres", "gateways"}) as again:
            connect(again).close()
            assert not set(again.pids.values()) & set(state.pids.values())
            assert not [p for p in state.pids.values() if psutil.pid_exists(p)]
            assert not job.is_running()
    assert left_of(again) == []


def test_orphans_end_even_if_there_is_no_next_start(folder: Path) -> None:
    with stack_in_foreground(folder, PARTS) as process:
        state = ready(folder, process)
        process.kill()
        until(lambda: not left_of(state), "the kernel has ended them", seconds=20)


def test_the_stop_ends_jobs_that_left_their_parents_group_too(folder: Path) -> None:
    with Stack(folder, CLUSTERS, parts={"postgres"}) as state:
        env = {**os.environ, ENV_STACK_ID: state.id}
        job = psutil.Popen(["sleep", "600"], env=env, start_new_session=True)
    assert not job.is_running()


def test_a_port_taken_meanwhile_is_changed_and_everybody_is_told(folder: Path) -> None:
    last = last_state(folder)
    assert last is not None
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", last.ports["postgres"]))
        other.listen()
        with Stack(folder, CLUSTERS, parts={"postgres"}) as state:
            connect(state).close()
            ledger = load(state.config_path, need_secrets=False).ledger
    assert ledger is not None
    assert state.ports["postgres"] == ledger.port != last.ports["postgres"]


def _answers(host: str, port: int) -> bool:
    try:
        return bool(clickhouse_connect.get_client(host=host, port=port).ping())
    except clickhouse_connect.driver.exceptions.Error:
        return False


def _survivors(state: StackState) -> tuple[int] | None:
    try:
        with connect(state, "ledger") as ledger:
            return ledger.execute("SELECT n FROM survivors").fetchone()
    except psycopg.OperationalError:
        return None
