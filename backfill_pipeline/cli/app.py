"""The app that every command belongs to, and the options that several share."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

HELP = """Rebuild the ClickHouse copy of PostgreSQL data for customers and days, and prove it.

Everything that these commands do can be done in Dagster's UI too.
"""
LOCAL = Path(".local")
app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Folder = Annotated[Path, typer.Option(help="Where the embedded stack keeps its data, logs and addresses.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="The configuration; else BACKFILL_CONFIG, else that of the stack in --folder."),
]
DagsterUrl = Annotated[
    str | None,
    typer.Option(
        "--dagster",
        help="Dagster's address; else BACKFILL_DAGSTER, else that of the stack in --folder, if it has this configuration.",
    ),
]


def examples(*commands: str) -> str:
    """An epilog of a command's help: a line for each, to be copied as it stands."""
    return "\n\n".join(["Examples:" if len(commands) > 1 else "Example:", *commands])


def told_on_change() -> Callable[[str], None]:
    """Prints a line unless it is the one before: what is asked every few seconds for hours is told where it changes."""
    last: list[str] = []

    def tell(line: str) -> None:
        if [line] != last:
            last[:] = [line]
            typer.echo(line)

    return tell
