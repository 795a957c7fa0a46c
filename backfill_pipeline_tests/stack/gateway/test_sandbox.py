"""What no list of words forbids is forbidden by the kernel: the gateway has its own folder, its port and nothing else."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from backfill_pipeline.stack.gateway.sandbox import is_available
from backfill_pipeline_tests.stack.gateway.conftest import Gateway


@pytest.fixture(autouse=True)
def kernel_confines() -> None:
    """Not skipped elsewhere: whoever runs the tests should know that the gateway is not confined there."""
    assert is_available(), "this kernel has no Landlock: the gateway only warns, and these promises do not hold"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder with a secret that everybody may read."""
    tmp_path.chmod(0o777)
    (tmp_path / "secret").write_text("correct-horse-battery\n")
    return tmp_path


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM “file”('{path}/secret', 'LineAsString')",
        "SELECT * FROM file\u00a0('{path}/secret', 'LineAsString')",
        "SELECT * FROM file\u3000('{path}/secret', 'LineAsString')",
        "SELECT ‘'’, * FROM file(‘{path}/secret’,‘LineAsString’)",
        "SELECT * APPLY(file) FROM (SELECT '{path}/secret' AS p)",
        "SELECT arrayMap(file, ['{path}/secret'])",
        "SELECT arrayMap(file, ['/proc/self/environ'])",
        "SELECT * FROM eval('SELECT file(''{path}/secret'')') SETTINGS allow_experimental_eval_table_function = 1",
        "INSERT INTO FUNCTION file\u00a0('{path}/new', 'LineAsString', 'line String') SELECT 'owned'",
        "CREATE TABLE taken ENGINE = EmbeddedRocksDB(0, '{path}/new') PRIMARY KEY k AS SELECT 'k' AS k, 'v' AS v",
    ],
)
def test_a_statement_that_the_list_does_not_know_reaches_no_file_outside(
    gateway: Gateway, outside: Path, sql: str
) -> None:
    answer = httpx.post(gateway.url, content=sql.format(path=outside).encode())
    assert answer.status_code >= 400
    assert "correct-horse" not in answer.text
    assert [p.name for p in outside.iterdir()] == ["secret"]
    assert httpx.post(gateway.url, content=b"SELECT 1").text == "1\n"


def test_a_dictionary_whose_source_is_a_query_reaches_none_either(client: Any, outside: Path) -> None:
    client.command(
        f"CREATE DICTIONARY stolen (k String, v String) PRIMARY KEY k "
        f"SOURCE(CLICKHOUSE(QUERY 'SELECT file(''{outside}/secret'') AS k, ''v'' AS v')) "
        "LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)"
    )
    with pytest.raises(DatabaseError, match="Permission denied"):
        client.query("SELECT * FROM stolen")


def test_no_other_server_is_dialled(gateway: Gateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.5)
        port = listener.getsockname()[1]
        answer = httpx.post(gateway.url, content=f"SELECT * FROM remote('127.0.0.1:{port}', system.one)".encode())
        assert answer.status_code >= 400
        with pytest.raises(TimeoutError):
            listener.accept()


def test_of_two_servers_only_the_one_that_the_command_line_names_is_dialled(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as named, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [str(s.getsockname()[1]) for s in (named, other)]
        done = subprocess.run([sys.executable, "-c", _DIALS, str(tmp_path), *ports], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("named: through\nother: refused\n", "")


_DIALS = """
import socket, sys
from pathlib import Path
from backfill_pipeline.stack.gateway.sandbox import confine
named, other = int(sys.argv[2]), int(sys.argv[3])
confine(Path(sys.argv[1]), 1, [named])
for name, port in (("named", named), ("other", other)):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        print(f"{name}: through")
    except PermissionError:
        print(f"{name}: refused")
"""

_CONFINED = """
import os, subprocess, sys
from pathlib import Path
from backfill_pipeline.stack.gateway.sandbox import confine
confine(Path(sys.argv[1]), 1)
tried = {
    "signal": lambda: os.kill(os.getppid(), 0),
    "run": lambda: subprocess.run(["/bin/true"]),
    "write": lambda: Path(sys.argv[2]).write_text("x"),
    "read": lambda: Path("/etc/passwd").read_text(),
    "list": lambda: os.listdir("/etc"),
    "start folder": lambda: os.listdir(os.getcwd()),
}
for name, attempt in tried.items():
    try:
        attempt()
        print(name)
    except PermissionError:
        pass
Path(sys.argv[1], "mine").write_text("kept")
for needed in ("/proc/self/auxv", "/proc/meminfo", "/usr/share/zoneinfo/UTC", sys.executable):
    Path(needed).open("rb").read(1)
"""


def test_it_signals_nobody_runs_nothing_and_reads_no_folder_but_its_own(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    arguments = [sys.executable, "-c", _CONFINED, str(tmp_path / "own"), str(tmp_path / "other")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert (tmp_path / "own" / "mine").read_text() == "kept"
