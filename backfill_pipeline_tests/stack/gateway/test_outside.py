"""Whoever reaches the gateway's port gets at the engine's tables and at nothing else of this machine."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from backfill_pipeline_tests.stack.gateway.conftest import Gateway


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    path = tmp_path / "secret"
    path.write_text("correct-horse-battery\n")
    return path


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM file('{path}', 'LineAsString')",
        "SELECT * FROM `file` ('{path}', 'LineAsString')",
        "SELECT * FROM /* x */ FILE/* y */('{path}', 'LineAsString')",
        "SELECT file('{path}')",
        "WITH format AS (SELECT 1) SELECT * FROM file('{path}', 'LineAsString')",
        "SELECT * FROM url('file://{path}', 'LineAsString')",
        "SELECT * FROM filesystem('{path}')",
        "SELECT * FROM `fil\\x65`('{path}', 'LineAsString')",
        "SELECT * FROM '{path}'",
        'SELECT * FROM "{path}"',
        "SELECT * FROM default.`{path}`",
        "SELECT * FROM files_as_tables.`{path}`",
        "SELECT * FROM remote('localhost', 'default', '{path}')",
        "SELECT * FROM cluster('conversations', 'default', '{path}')",
        "DESCRIBE default.`{path}`",
        "INSERT INTO default.`{path}` VALUES ('x')",
        "CREATE DATABASE files ENGINE = Filesystem",
        "CREATE DATABASE files ENGINE Filesystem",
        "CREATE DATABASE files ENGINE = `Filesyste\\x6d`",
        "CREATE TABLE stolen (line String) ENGINE = File(LineAsString, '{path}')",
        "INSERT INTO FUNCTION file('{path}.new', 'TSV', 'x UInt8') SELECT 1",
        "SELECT 1 INTO OUTFILE '{path}.new'",
        "SELECT * FROM executable('cat {path}', 'TSV', 'x String')",
        "BACKUP TABLE system.one TO File('{path}.new')",
        "SELECT * FROM sqlite('{path}', 'x')",
        "SYSTEM SHUTDOWN",
        "SYSTEM KILL",
    ],
)
def test_no_statement_reads_or_writes_a_file_or_ends_the_engine(client: Any, secret: Path, sql: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.query(sql.format(path=secret))
    assert "correct-horse" not in str(caught.value)
    assert not secret.with_name("secret.new").exists()
    assert client.command("SELECT 1") == 1


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELECT 1 FORMAT Template SETTINGS format_template_row = '{path}'", {}),
        ("SELECT 1 FORMAT Template SETTINGS `format_template_row` = '{path}'", {}),
        ("SELECT 1 FORMAT Template SETTINGS `format_template_ro\\x77` = '{path}'", {}),
        ("SELECT 1 FORMAT Template", {"format_template_row": "{path}"}),
        ("SELECT 1 FORMAT Protobuf", {"format_schema": "{path}:Message"}),
    ],
)
def test_no_format_reads_a_file(gateway: Gateway, secret: Path, sql: str, params: dict[str, str]) -> None:
    given = {name: value.format(path=secret) for name, value in params.items()}
    answer = httpx.post(f"http://127.0.0.1:{gateway.port}/", params=given, content=sql.format(path=secret))
    assert "ACCESS_DENIED" in answer.text
    assert "correct-horse" not in answer.text


def test_an_external_tables_default_reads_no_file(gateway: Gateway, secret: Path) -> None:
    files = {"x": ("x", b"1\n")}
    given = {
        "query": "SELECT * FROM x",
        "x_structure": f"a UInt8, b String DEFAULT file('{secret}')",
        "x_format": "TSV",
    }
    answer = httpx.post(f"http://127.0.0.1:{gateway.port}/", params=given, files=files)
    assert answer.status_code != 200
    assert "correct-horse" not in answer.text


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_a_page_of_another_site_gets_no_answer(gateway: Gateway, headers: dict[str, str]) -> None:
    answer = httpx.post(f"http://127.0.0.1:{gateway.port}/", content="SELECT 'row'", headers=headers)
    assert answer.status_code in (400, 403)
    assert "row" not in answer.text


def test_columns_and_texts_may_look_like_a_function(client: Any) -> None:
    client.command("CREATE TABLE files (url String, format UInt8) ENGINE = MergeTree ORDER BY tuple()")
    client.command("INSERT INTO files VALUES ('file(', 1)")
    assert client.query("SELECT url, format FROM files WHERE url = 'file(' AND (url IN ('file('))").result_rows == [
        ("file(", 1)
    ]
