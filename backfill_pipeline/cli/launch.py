"""`backfill launch`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from backfill_pipeline.cli.app import LOCAL, ConfigFile, DagsterUrl, Folder, app, examples
from backfill_pipeline.cli.look import shown_plan
from backfill_pipeline.cli.options import (
    Approve,
    Clusters,
    Customers,
    Datasets,
    First,
    JobDays,
    Last,
    Why,
    Yes,
    confirm,
    how_of,
    window_of,
)
from backfill_pipeline.cli.wait import waited

if TYPE_CHECKING:
    from datetime import date

    from backfill_pipeline.domain.retries import Of
    from backfill_pipeline.operations.launch import Survey

T = TypeVar("T")


@app.command(
    epilog=examples(
        "backfill launch --start-time 2026-01-01 --end-time 2026-01-31 --why 'stale since the migration'",
        "backfill launch --cluster north --customer 'acme*' --start-time 2026-01-05 --end-time 2026-01-05 --yes --wait",
    )
)
def launch(
    start_time: First,
    end_time: Last,
    cluster: Clusters = None,
    customer: Customers = None,
    dataset: Datasets = None,
    why: Why = None,
    again: Annotated[bool, typer.Option("--again", help="Also days that are done.")] = False,
    approve: Approve = None,
    job_days: JobDays = None,
    skip_logs: Annotated[
        bool, typer.Option("--skip-logs", help="Don't read the Jobs' logs; their workflows are looked up in Temporal.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Until the backfills are over; exit code 1 if one did not end well.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be left out, and the plan of the rest.")
    ] = False,
    yes: Yes = False,
    folder: Folder = LOCAL,
    config: ConfigFile = None,
    dagster: DagsterUrl = None,
) -> None:
    """Delete these days in ClickHouse and write them again from PostgreSQL: one Dagster backfill per cluster.

    Days that somebody is at work on are left out and named; so are days that are done, unless --again.
    """
    from backfill_pipeline.cli.site import dagster_client, site_of
    from backfill_pipeline.operations import launch as operation
    from backfill_pipeline.operations.select import select
    from backfill_pipeline.report.amounts import counted
    from backfill_pipeline.steps.systems import open_ledger
    from backfill_pipeline.stores.pauses import read_pauses

    window = window_of(start_time, end_time)
    site = site_of(folder, config, dagster)
    wanted = select(site.config, cluster or (), customer or (), dataset or ())
    how = how_of(why, job_days, approve, skip_logs=skip_logs)
    client, ledger = dagster_client(site), open_ledger(site.config)
    found = operation.survey(client, ledger, site.config, wanted, window)
    days = found.to_launch(again=again)
    _tell(found, again)
    count = sum(map(len, days.values()))
    if not count:
        typer.echo("nothing is left to launch")
        return
    clusters = sorted({of.cluster for of in days})
    typer.echo(f"{counted(count, 'day')} of {counted(len(days), 'asset')} on {', '.join(clusters)}")
    if dry_run:
        raise typer.Exit(shown_plan(site.config, days, window, how))
    for pause in (p for c, p in sorted(read_pauses(ledger).items()) if c in clusters and p.in_force):
        typer.echo(str(pause))
    confirm(yes, "Delete their rows in ClickHouse and write them again?")
    backfills = operation.launch(client, days, how)
    for name, backfill in backfills.items():
        typer.echo(f"{name}: backfill {backfill}, {site.dagster}/runs/b/{backfill}")
    if wait:
        raise typer.Exit(waited(client, backfills))


def _tell(found: "Survey", again: bool) -> None:
    """What is left out, an asset per line, and why."""
    from backfill_pipeline.report.amounts import counted

    hint = "done again" if again else "left out; --again does them too"
    busy, done = _by_asset(found.at_work), _by_asset(found.done)
    for of in found.wanted:
        who = f"{of.dataset} of {of.customer} on {of.cluster}"
        for by in sorted(set(busy.get(of, ()))):
            typer.echo(f"at work: {who}: {by}")
        if times := done.get(of):
            typer.echo(
                f"done: {who}: {counted(len(times), 'day')}, the last at {max(times):%Y-%m-%d %H:%M} UTC: {hint}"
            )


def _by_asset(days: "Mapping[tuple[Of, date], T]") -> "dict[Of, list[T]]":
    found: dict[Of, list[T]] = {}
    for (of, _), value in days.items():
        found.setdefault(of, []).append(value)
    return found
