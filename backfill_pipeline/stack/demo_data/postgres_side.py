"""Writes demo rows to PostgreSQL by COPY, and empties only tables that demo data has filled."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from io import BytesIO

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from pyarrow import csv

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.stack.demo_data.awkward import INFINITY, MINUS_INFINITY

TABLES = (
    "app.chats",
    "app.chat_messages",
    "app.agent_assist_events",
    "director.scorecards",
    "director.scorecard_template_revisions",
    "director.historic_scorecard_scores",
)
_MARK = sql.SQL("CREATE TABLE IF NOT EXISTS public.filled_by_demo_data ()")
# NULL is bare and '' is quoted, so COPY tells them apart.
_CSV = csv.WriteOptions(include_header=False, quoting_style="all_valid")


@contextmanager
def connected(address: PostgresAddress) -> Iterator[psycopg.Connection]:
    """A connection that commits at the end; rows of a demo need not survive a crash of the machine.

    Raises:
        PipelineError: nobody answers there.
    """
    try:
        connection = psycopg.connect(
            host=address.host, port=address.port, dbname=address.database, user=address.user,
            password=address.password(), sslmode=address.sslmode, connect_timeout=address.connect_timeout_seconds,
        )  # fmt: skip
    except psycopg.OperationalError as error:
        raise _unreachable(address, error) from None
    with connection:
        deadline = f"{address.statement_timeout_seconds}s"
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [deadline])
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET TIME ZONE 'UTC'")
        yield connection


def _unreachable(address: PostgresAddress, error: Exception) -> PipelineError:
    return PipelineError(
        "PostgreSQL can't be reached",
        where=str(address),
        why=str(error).splitlines()[0][:200],
        next_step="start the stack, or correct the address",
        kind=Kind.UNREACHABLE,
    )


def check(connection: psycopg.Connection, where: str, *, reset: bool) -> None:
    """Create the source's tables where they are not there, and look whether they may be emptied.

    Raises:
        Refused: they hold rows, and `reset` is off or the rows did not come from here. A loopback address may be a
            port-forward to a real system.
    """
    schema = resources.files("backfill_pipeline.stack.schema").joinpath("source.sql").read_text(encoding="utf-8")
    connection.execute(schema.encode())
    if filled := [t for t in TABLES if _has_rows(connection, t)]:
        _refuse_foreign_rows(connection, f"{where}: {', '.join(filled)}", reset=reset)


def empty(connection: psycopg.Connection) -> None:
    """Empty the source's tables, and note that what comes now is demo data."""
    connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(map(_name, TABLES))))
    connection.execute(_MARK)


def _has_rows(connection: psycopg.Connection, table: str) -> bool:
    row = connection.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(_name(table))).fetchone()
    return bool(row and row[0])


def _refuse_foreign_rows(connection: psycopg.Connection, where: str, *, reset: bool) -> None:
    row = connection.execute("SELECT to_regclass('public.filled_by_demo_data') IS NOT NULL").fetchone()
    if not (row and row[0]):
        raise Refused(
            "The source holds rows that are no demo data", where=where, why="they would be truncated",
            next_step="use an empty database; if these rows may go, empty the tables yourself",
        )  # fmt: skip
    if not reset:
        raise Refused(
            "The source already holds demo data", where=where, why="--no-reset was given",
            next_step="leave it as it is, or run again with --reset",
        )  # fmt: skip


def copy_in(connection: psycopg.Connection, table: str, rows: pa.Table) -> None:
    """Append Arrow rows to a table, by column name."""
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.column_names))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(_name(table), columns)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(_as_csv(rows))


def _as_csv(rows: pa.Table) -> memoryview:
    buffer = BytesIO()
    csv.write_csv(_with_infinities(rows), buffer, _CSV)
    return buffer.getbuffer()


def _with_infinities(rows: pa.Table) -> pa.Table:
    for i, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            rows = rows.set_column(i, field.name, _time_texts(rows[field.name]))
    return rows


def _time_texts(times: pa.ChunkedArray) -> pa.ChunkedArray:
    numbers, texts = times.cast(pa.int64()), times.cast(pa.string())
    texts = pc.if_else(pc.equal(numbers, INFINITY), "infinity", texts)
    return pc.if_else(pc.equal(numbers, MINUS_INFINITY), "-infinity", texts)


def _name(table: str) -> sql.Identifier:
    return sql.Identifier(*table.split("."))
