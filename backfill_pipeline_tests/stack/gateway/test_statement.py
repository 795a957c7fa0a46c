import pytest

from backfill_pipeline.stack.gateway.errors import EngineError
from backfill_pipeline.stack.gateway.statement import Kind, insert_of, is_insert, statement_of


def test_the_data_of_an_insert_is_not_taken_for_sql() -> None:
    insert = insert_of(b"INSERT INTO t (a, format) FORMAT TSV\n;'\t1\n", False, 0, "")
    assert insert is not None
    assert (insert.kind, insert.sql, insert.fmt, insert.data) == (
        Kind.INSERT,
        b"INSERT INTO t (a, format) ",
        "TSV",
        b";'\t1\n",
    )


@pytest.mark.parametrize("cut", range(1, 39))
def test_an_insert_cut_anywhere_loses_no_byte_of_its_data(cut: int) -> None:
    text = b"INSERT INTO `a b`.t (x) FORMAT Native\n\x00\x01\n"
    head = insert_of(text[:cut], False, 0, "") if is_insert(text[:cut]) else None
    assert head is None or head.data + text[cut:] == b"\x00\x01\n"


def test_data_without_a_format_begins_behind_the_address() -> None:
    insert = insert_of(b"INSERT INTO t\n(1),(2)", True, 14, "")
    assert insert is not None
    assert (insert.fmt, insert.data) == ("Values", b"(1),(2)")


def test_an_insert_from_a_select_does_not_wait_for_data() -> None:
    for sql in (b"INSERT INTO t SELECT 1", b"INSERT INTO t WITH 1 AS x SELECT x", b"INSERT INTO t (a) (SELECT 1)"):
        insert = insert_of(sql, True, 0, "")
        assert insert is not None
        assert insert.kind is Kind.COMMAND


@pytest.mark.parametrize(
    ("sql", "fmt"),
    [
        ("SELECT 1 FORMAT JSON", "JSON"),
        ("SELECT 1 FORMAT JSON SETTINGS max_threads = 1", "JSON"),
        ("SELECT 1 FORMAT JSON;", "JSON"),
        ("SELECT 'FORMAT JSON'", "TabSeparated"),
        ("SELECT format('{}', x) AS format FROM t", "TabSeparated"),
    ],
)
def test_a_result_is_not_joined_as_another_format_than_its_own(sql: str, fmt: str) -> None:
    assert statement_of(sql.encode(), "").fmt == fmt


def test_a_second_statement_does_not_slip_in_behind_the_first() -> None:
    with pytest.raises(EngineError, match="Multi-statements"):
        statement_of(b"SELECT 1; DROP TABLE t", "")
    assert statement_of(b"SELECT ';' -- ; x\n;", "").kind is Kind.SELECT
