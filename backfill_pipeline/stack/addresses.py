"""The addresses of a stack as a table for people."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from backfill_pipeline.stack.state import StackState


def print_addresses(state: StackState, console: Console | None = None) -> None:
    """A row per part, without secrets."""
    table = Table(title="Embedded stack", title_justify="left")
    table.add_column("part")
    table.add_column("address", overflow="fold")
    for part, address in _rows(state):
        table.add_row(part, address)
    (console or Console()).print(table)


def _rows(state: StackState) -> Iterator[tuple[str, str]]:
    if state.dagster_url:
        yield "Dagster", state.dagster_url
    for cluster, temporal in state.temporal.items():
        yield f"Temporal {cluster}", f"{temporal.address}, UI {temporal.ui}"
    for cluster, shards in state.gateways.items():
        yield f"ClickHouse {cluster}", ", ".join(f"http://{shard}" for shard in shards)
    if state.postgres:
        yield "PostgreSQL", f"{state.postgres} (user postgres, password in {state.folder}/postgres.password)"
    yield "configuration", str(state.config_path)
    yield "logs", str(state.logs)
