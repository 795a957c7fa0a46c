"""A secret that reaches a log, an error, metadata or a record stays there for ever."""

from pathlib import Path

import psycopg

from backfill_pipeline_tests.e2e.ui import Ui

TEXT_COLUMNS = """
SELECT format('%I.%I', table_schema, table_name), string_agg(format('%I::text', column_name), ' || ')
FROM information_schema.columns
WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND data_type IN ('text', 'character varying', 'jsonb')
GROUP BY 1
"""


def test_the_databases_password_is_in_no_event_no_record_and_no_log(pipeline: Ui) -> None:
    address = pipeline.live.config.ledger
    assert address is not None
    secret = address.password()
    assert secret
    for database in ("dagster", "ledger"):
        dsn = pipeline.live.source_dsn("north").replace("dbname=source_north", f"dbname={database}")
        assert _tables_with(dsn, secret) == []
    assert _files_with(pipeline.live.state.folder, secret) == ["postgres.password"]


def _tables_with(dsn: str, secret: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        tables = connection.execute(TEXT_COLUMNS.encode()).fetchall()
        assert tables
        found = []
        for table, columns in tables:
            whole = columns.replace("::text || ", "::text, ").replace("||", ",")
            sql = f"SELECT count(*) FROM {table} WHERE concat({whole}) LIKE %s"
            if connection.execute(sql.encode(), [f"%{secret}%"]).fetchone() != (0,):
                found.append(table)
    return found


def _files_with(folder: Path, secret: str) -> list[str]:
    """Logs, Jobs and configurations; the engines' own data files are not for reading."""
    engines = ("postgres", "clickhouse", "temporal")
    files = [f for f in folder.rglob("*") if f.is_file() and f.relative_to(folder).parts[0] not in engines]
    assert any("logs" in f.parts for f in files)
    return [f.name for f in files if secret.encode() in f.read_bytes()]
