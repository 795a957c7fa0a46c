"""Commands that change what is done next: retry, reset, pause, resume."""

from typing import Annotated

import typer

from backfill_pipeline.cli.app import LOCAL, ConfigFile, DagsterUrl, Folder, app, examples
from backfill_pipeline.cli.options import (
    Approve,
    Cluster,
    Clusters,
    Datasets,
    Days,
    JobDays,
    Why,
    Yes,
    ask_again,
    days_of,
    how_of,
)


@app.command(
    epilog=examples("backfill retry", "backfill retry --cluster north acme 2026-01-05", "backfill retry --cancelled")
)
def retry(
    customer: Annotated[str | None, typer.Argument(help="Only this id, or glob.")] = None,
    days: Days = None,
    cluster: Clusters = None,
    dataset: Datasets = None,
    cancelled: Annotated[bool, typer.Option("--cancelled", help="Also days whose run was cancelled by hand.")] = False,
    why: Why = None,
    job_days: JobDays = None,
    approve: Approve = None,
    yes: Yes = False,
    folder: Folder = LOCAL,
    config: ConfigFile = None,
) -> None:
    """Do failed days again now, also those that were given up; their attempts are counted anew.

    The retry sensor launches them at its next tick, a window per customer at a time.
    """
    from backfill_pipeline.cli.site import site_of
    from backfill_pipeline.operations.again import failed_days
    from backfill_pipeline.operations.select import refuse_no_partitions, select
    from backfill_pipeline.steps.systems import open_ledger

    named, how = days_of(days), how_of(why, job_days, approve)
    site = site_of(folder, config, None)
    wanted = select(site.config, cluster or (), [customer] if customer else (), dataset or ())
    refuse_no_partitions(site.config, wanted, named)
    found = failed_days(open_ledger(site.config), wanted, named, cancelled=cancelled)
    ask_again(site.config, found, yes, how, "no such day has failed")


@app.command(epilog=examples("backfill reset --cluster north acme 2026-01-05 2026-01-08..2026-01-10"))
def reset(
    customer: Annotated[str, typer.Argument(help="The id, or a glob.")],
    days: Annotated[
        list[str], typer.Argument(help="Days such as 2026-01-05, or ranges such as 2026-01-05..2026-01-09.")
    ],
    cluster: Clusters = None,
    dataset: Datasets = None,
    why: Why = None,
    job_days: JobDays = None,
    approve: Approve = None,
    yes: Yes = False,
    folder: Folder = LOCAL,
    config: ConfigFile = None,
) -> None:
    """Forget what became of these days and do them again, also days that are done."""
    from backfill_pipeline.cli.site import site_of
    from backfill_pipeline.operations.select import refuse_no_partitions, select

    named = days_of(days)
    site = site_of(folder, config, None)
    wanted = select(site.config, cluster or (), [customer], dataset or ())
    refuse_no_partitions(site.config, wanted, named)
    ask_again(site.config, dict.fromkeys(wanted, named), yes, how_of(why, job_days, approve), "no such customer")


@app.command(epilog=examples("backfill pause north --why 'disk is being changed'"))
def pause(
    cluster: Cluster,
    why: Annotated[str, typer.Option(help="What the others read who wonder why nothing starts.")],
    folder: Folder = LOCAL,
    config: ConfigFile = None,
    dagster: DagsterUrl = None,
) -> None:
    """Nothing more starts on a cluster, whoever launches it; what runs goes on."""
    from backfill_pipeline.cli.site import dagster_client, site_of
    from backfill_pipeline.operations import pause as operation
    from backfill_pipeline.steps.systems import open_ledger

    site = site_of(folder, config, dagster)
    of = site.config.cluster(cluster)
    operation.pause(dagster_client(site), open_ledger(site.config), of, why)
    typer.echo(f"{cluster} is paused; go on with: backfill resume {cluster}")


@app.command(epilog=examples("backfill resume north"))
def resume(cluster: Cluster, folder: Folder = LOCAL, config: ConfigFile = None, dagster: DagsterUrl = None) -> None:
    """End a pause, or a stop because most windows had failed."""
    from backfill_pipeline.cli.site import dagster_client, site_of
    from backfill_pipeline.operations import pause as operation
    from backfill_pipeline.steps.systems import open_ledger

    site = site_of(folder, config, dagster)
    ended = operation.resume(dagster_client(site), open_ledger(site.config), site.config.cluster(cluster))
    was = f"{'stopped' if ended.is_stopped else 'paused'} by {ended.by_whom}: {ended.why}" if ended else "not paused"
    typer.echo(f"{cluster} goes on; it was {was}")
