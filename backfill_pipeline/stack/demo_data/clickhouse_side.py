"""Writes demo rows to the local tables of every shard, and empties only tables that demo data has filled."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import resources
from typing import Literal
from uuid import uuid4

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from backfill_pipeline.config import ClickHouseAddress
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.reach import Replica
from backfill_pipeline.stack.demo_data import right_copy

LABELS = "conversation_with_labels"
TABLES = (*right_copy.TABLES, LABELS)
LabelsForm = Literal["older", "newer"]
_MARK = "CREATE TABLE IF NOT EXISTS filled_by_demo_data (at DateTime) ENGINE = MergeTree ORDER BY at"


@contextmanager
def connected(address: ClickHouseAddress) -> Iterator[list[Client]]:
    """A client of each shard's first replica, in the order of the configuration.

    Raises:
        PipelineError: nobody answers at one of them.
    """
    with ExitStack() as stack:
        clients = [_client(address, shard.replicas[0]) for shard in address.shards]
        for client in clients:
            stack.callback(client.close)
        yield clients


def _client(address: ClickHouseAddress, replica: Replica) -> Client:
    try:
        return clickhouse_connect.get_client(
            host=replica.host, port=replica.port, database=address.database, username=address.user,
            password=address.password() or "", secure=address.secure, autogenerate_session_id=False,
            connect_timeout=address.connect_timeout_seconds, send_receive_timeout=address.query_timeout_seconds,
        )  # fmt: skip
    except (ClickHouseError, OSError) as error:
        raise PipelineError(
            "ClickHouse can't be reached", where=str(replica), why=str(error).splitlines()[0][:200],
            next_step="start the stack, or correct the address", kind=Kind.UNREACHABLE,
        ) from None  # fmt: skip


def labels_form(shards: int) -> LabelsForm:
    """The form in which a cluster of so many shards gets its labels: a stack with both kinds of clusters meets both."""
    return "older" if shards > 1 else "newer"


def labels_moment(client: Client) -> str:
    """The time by which the table of labels that is there is sharded: of the end in the older form, else of the start."""
    moments = {"older": "conversation_end_time", "newer": "conversation_start_time"}
    return moments[_form_there(client) or "newer"]


def _form_there(client: Client) -> LabelsForm | None:
    sql = "SELECT sorting_key FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
    found = client.query(sql, parameters={"table": LABELS}).result_rows
    if not found:
        return None
    return "older" if "conversation_end_time" in found[0][0] else "newer"


def check(client: Client, where: str, labels: LabelsForm, *, reset: bool) -> None:
    """Create the target's tables on a shard where they are not there, and look whether they may be emptied.

    labels: the form of a new table of labels; one of the other form stays, as a folder of an older stack may hold it.

    Raises:
        Refused: they hold rows, and `reset` is off or the rows did not come from here.
    """
    for statement in (*_schema("target"), *_schema(f"labels_{_form_there(client) or labels}")):
        client.command(statement)
    if filled := [t for t in TABLES if _has_rows(client, t)]:
        _refuse_foreign_rows(client, f"{where}: {', '.join(filled)}", reset=reset)


def empty(client: Client) -> None:
    """Empty a shard's tables, and note that what comes now is demo data."""
    for table in TABLES:
        client.command("TRUNCATE TABLE {table:Identifier}", parameters={"table": table})
    client.command(_MARK)


def _schema(name: str) -> list[str]:
    text = resources.files("backfill_pipeline.stack.schema").joinpath(f"{name}.sql").read_text(encoding="utf-8")
    return [s for s in (part.strip() for part in text.split(";\n")) if s.rstrip(";")]


def _has_rows(client: Client, table: str) -> bool:
    return bool(client.query("SELECT 1 FROM {table:Identifier} LIMIT 1", parameters={"table": table}).result_rows)


def _refuse_foreign_rows(client: Client, where: str, *, reset: bool) -> None:
    if not client.command("EXISTS TABLE filled_by_demo_data"):
        raise Refused(
            "The target holds rows that are no demo data", where=where, why="they would be truncated",
            next_step="use an empty database; if these rows may go, empty the tables yourself",
        )  # fmt: skip
    if not reset:
        raise Refused(
            "The target already holds demo data", where=where, why="--no-reset was given",
            next_step="leave it as it is, or run again with --reset",
        )  # fmt: skip


def insert(client: Client, table: str, rows: pa.Table) -> None:
    """Append Arrow rows to a local table, by column name, in one durable request.

    The token is new each time (L1): the same seed makes the same blocks, which a replicated table may drop as repeated.
    The embedded engine forgets them at TRUNCATE, so no test of ours can show it.
    """
    client.insert_arrow(table, rows, settings={"async_insert": 0, "insert_deduplication_token": str(uuid4())})
