"""`backfill launch`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

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
    begun,
    confirm,
    how_of,
    still_free,
    tell_pauses,
    window_of,
)
from backfill_pipeline.cli.wait import waited
from backfill_pipeline.cli.work import taken

if TYPE_CHECKING:
    from backfill_pipeline.clients.dagster import DagsterClient
    from backfill_pipeline.operations.survey import Survey

LEFT_OUT = "left out; --again does them too"


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

    Days that somebody is at work on are left out and named; so are days that are done, unless --again. With --wait, the exit
    code is 1 too where somebody else is at work on all that is left: that is not waited for.
    """
    from backfill_pipeline.cli.site import dagster_client, site_of
    from backfill_pipeline.operations import launch as operation
    from backfill_pipeline.operations.select import refuse_no_partitions, select
    from backfill_pipeline.operations.survey import survey
    from backfill_pipeline.report.amounts import counted
    from backfill_pipeline.steps.systems import open_ledger

    window = window_of(start_time, end_time)
    site = site_of(folder, config, dagster)
    wanted = select(site.config, cluster or (), customer or (), dataset or ())
    how = how_of(why, job_days, approve, skip_logs=skip_logs)
    client, ledger = dagster_client(site), open_ledger(site.config)
    refuse_no_partitions(site.config, wanted, window.days)
    found = survey(client, ledger, dict.fromkeys(wanted, window.days))
    for line in taken(found, "done again" if again else LEFT_OUT):
        typer.echo(line)
    days = found.free(again=again)
    if not days:
        raise typer.Exit(_nothing_left(found, wait=wait and not dry_run))
    clusters = sorted({of.cluster for of in days})
    count = sum(map(len, days.values()))
    typer.echo(f"{counted(count, 'day')} of {counted(len(days), 'asset')} on {', '.join(clusters)}")
    if dry_run:
        raise typer.Exit(shown_plan(site.config, days, window, how))
    tell_pauses(ledger, clusters)
    confirm(yes, "Delete their rows in ClickHouse and write them again?")
    if not yes:
        now = survey(client, ledger, days)
        days, found = (
            still_free(now, again=again, hint=LEFT_OUT),
            replace(found, at_work={**found.at_work, **now.at_work}),
        )
    if not days:
        raise typer.Exit(_nothing_left(found, wait=wait))
    with begun():
        backfills = operation.launch(client, days, how, lambda c, b: typer.echo(_page(site.dagster, c, b)))
        code = _waited(client, backfills, found) if wait else 0
    raise typer.Exit(code)


def _page(dagster: str | None, cluster: str, backfill: str) -> str:
    return f"{cluster}: backfill {backfill}, {dagster}/runs/b/{backfill}"


def _nothing_left(found: "Survey", *, wait: bool) -> int:
    """Whoever waits goes on with what should be there then."""
    typer.echo("nothing is left to launch")
    if wait and found.at_work:
        typer.echo(_not_waited_for(found))
        return 1
    return 0


def _waited(client: "DagsterClient", backfills: "Mapping[str, str]", found: "Survey") -> int:
    code = waited(client, backfills)
    if found.at_work:
        typer.echo(_not_waited_for(found))
    return code


def _not_waited_for(found: "Survey") -> str:
    from backfill_pipeline.report.amounts import counted

    days = counted(len(found.at_work), "day")
    return f"not waited for: {days} that somebody else is at work on; repeat this once they are over"
