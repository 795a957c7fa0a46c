"""Commands around the embedded stack, and the one that reads a configuration."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from backfill_pipeline.cli.app import LOCAL, Folder, app, examples

config_app = typer.Typer(help="The configuration file.", no_args_is_help=True)
app.add_typer(config_app, name="config")


class LauncherKind(StrEnum):
    """Where the Jobs of the embedded stack run."""

    local = "local"
    kubernetes = "kubernetes"


Launcher = Annotated[
    LauncherKind, typer.Option(help="Jobs as subprocesses, or of a Kubernetes cluster that is started too.")
]


@config_app.command("check", epilog=examples("backfill config check config.example.yaml"))
def config_check(
    file: Annotated[Path, typer.Argument(help="YAML or JSON; the older scripts' config.json too.")],
) -> None:
    """Print what the pipeline understood of a configuration.

    Exit code 2 and every mistake if it can't be used; also, after the tables, if secrets are missing here.
    """
    from rich.console import Console

    from backfill_pipeline.config import check_secrets, load
    from backfill_pipeline.report.configuration import configuration_tables

    config = load(file, need_secrets=False)
    for table in configuration_tables(config):
        Console().print(table)
    check_secrets(file, config)


@app.command(
    epilog=examples("backfill stack", "backfill stack --folder /tmp/mine", "backfill stack --config mine.yaml")
)
def stack(
    folder: Folder = LOCAL,
    config: Annotated[Path | None, typer.Option(help="Your own addresses: what it names is not started here.")] = None,
    launcher: Launcher = LauncherKind.local,
) -> None:
    """Run everything on this machine in the foreground and print the addresses; Ctrl-C ends it, state is kept."""
    from backfill_pipeline.stack.addresses import print_addresses
    from backfill_pipeline.stack.supervisor import Stack

    Stack(folder, config=config, launcher=launcher).run_forever(print_addresses, lambda line: print(line, flush=True))


@app.command(epilog=examples("backfill demo", "backfill demo --size 0.2", "backfill demo --keep"))
def demo(
    folder: Folder = LOCAL,
    size: Annotated[float, typer.Option(min=0.01, help="1.0 is 150 conversations per customer and day.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same rows.")] = 7,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running, to look around in the UI.")] = False,
    launcher: Launcher = LauncherKind.local,
) -> None:
    """Make data with planted defects, show them, rebuild all days through Dagster, show that they are gone.

    Exit code 0 only if every day matches and no id has more than one row. On a stack that runs, its data is made anew.
    """
    from rich.console import Console

    from backfill_pipeline.stack.demo import Demo, run

    raise typer.Exit(run(Demo(folder.resolve(), size=size, seed=seed, keep=keep, launcher=launcher), Console()))


@app.command(epilog=examples("backfill stop --folder /tmp/mine"))
def stop(folder: Folder = LOCAL) -> None:
    """End the stack that `backfill demo --keep` left running; its state is kept."""
    from backfill_pipeline.stack.background import stop_in_background

    typer.echo("stopped" if stop_in_background(folder) else f"no stack runs in {folder}")
