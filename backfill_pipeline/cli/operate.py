"""Commands that change something: retry, reset, cancel, pause, resume."""

from typing import Annotated

import typer

from backfill_pipeline.cli.app import LOCAL, ConfigFile, DagsterUrl, Folder, app, examples
from backfill_pipeline.cli.options import Cluster, Clusters, Customers, Datasets, Days, JobDays, Yes, ask_again, confirm


@app.command(
    epilog=examples("backfill retry", "backfill retry --cluster north acme 2026-01-05", "backfill retry --cancelled")
)
def retry(
    customer: Annotated[str | None, typer.Argument(help="Only this id, or glob.")] = None,
    days: Days = None,
    cluster: Clusters = None,
    dataset: Datasets = None,
    cancelled: Annotated[bool, typer.Option("--cancelled", help="Also days whose run was cancelled by hand.")] = False,
    job_days: JobDays = None,
    yes: Yes = False,
    folder: Folder = LOCAL,
    config: ConfigFile = None,
) -> None:
    """Do failed days again now, also those that were given up; their attempts are counted anew.

    The retry sensor launches them at its next tick, a window per customer at a time.
    """
    from backfill_pipeline.cli.site import site_of
    from backfill_pipeline.domain.windows import parse_day
    from backfill_pipeline.operations.again import failed_days
    from backfill_pipeline.operations.select import refuse_no_partitions, select
    from backfill_pipeline.steps.systems import open_ledger

    named = [parse_day(d) for d in days or ()]
    site = site_of(folder, config, None)
    wanted = select(site.config, cluster or (), [customer] if customer else (), dataset or ())
    refuse_no_partitions(site.config, wanted, named)
    found = failed_days(open_ledger(site.config), wanted, named, cancelled=cancelled)
    ask_again(site.config, found, yes, job_days, "no such day has failed")


@app.command(epilog=examples("backfill reset --cluster north acme 2026-01-05 2026-01-06"))
def reset(
    customer: Annotated[str, typer.Argument(help="The id, or a glob.")],
    days: Annotated[list[str], typer.Argument(help="Days such as 2026-01-05, whatever became of them.")],
    cluster: Clusters = None,
    dataset: Datasets = None,
    job_days: JobDays = None,
    yes: Yes = False,
    folder: Folder = LOCAL,
    config: ConfigFile = None,
) -> None:
    """Forget what became of these days and do them again, also days that are done."""
    from backfill_pipeline.cli.site import site_of
    from backfill_pipeline.domain.windows import parse_day
    from backfill_pipeline.operations.select import refuse_no_partitions, select

    named = sorted({parse_day(d) for d in days})
    site = site_of(folder, config, None)
    wanted = select(site.config, cluster or (), [customer], dataset or ())
    refuse_no_partitions(site.config, wanted, named)
    ask_again(site.config, dict.fromkeys(wanted, named), yes, job_days, "no such customer")


@app.command(
    epilog=examples("backfill cancel --cluster north --finish", "backfill cancel --customer acme --leave-empty")
)
def cancel(
    cluster: Clusters = None,
    customer: Customers = None,
    dataset: Datasets = None,
    finish: Annotated[bool, typer.Option("--finish", help="Windows that are emptied are finished first.")] = False,
    leave_empty: Annotated[bool, typer.Option("--leave-empty", help="They are left without rows.")] = False,
    yes: Yes = False,
    folder: Folder = LOCAL,
    config: ConfigFile = None,
    dagster: DagsterUrl = None,
) -> None:
    """Cancel backfills and runs of these customers. A window that has lost its rows is finished, or left empty by name."""
    from backfill_pipeline.cli.site import dagster_client, site_of
    from backfill_pipeline.domain.errors import Refused
    from backfill_pipeline.operations import cancel as operation
    from backfill_pipeline.operations.select import select
    from backfill_pipeline.steps.systems import open_ledger

    site = site_of(folder, config, dagster)
    wanted = select(site.config, cluster or (), customer or (), dataset or ())
    client, ledger = dagster_client(site), open_ledger(site.config)
    found = operation.at_work(client, ledger, wanted)
    for backfill in found.beyond:
        typer.echo(f"backfill {backfill.backfill_id} has other customers too: it goes on, and may launch these again")
    if found.is_nothing:
        typer.echo("nothing is at work there")
        return
    for run, emptied in found.emptied:
        typer.echo(
            f"emptied: {emptied.dataset} of {emptied.customer} on {emptied.cluster}, {emptied.window}, run {run.run_id}"
        )
    if found.emptied and finish == leave_empty:
        raise Refused(
            "Windows are emptied",
            where=f"{len(found.emptied)} of {len(found.runs)} runs",
            why="a cancel leaves their days without rows in ClickHouse",
            next_step="--finish waits for these runs and cancels the others; --leave-empty cancels them too",
        )
    confirm(yes, f"Cancel {len(found.backfills)} backfills and {len(found.runs)} runs?")
    if finish and found.emptied:
        operation.wait_for_the_emptied(client, found, on_poll=lambda n: typer.echo(f"{n} emptied windows are at work"))
        found = operation.at_work(client, ledger, wanted)
    for run_id, reason in operation.cancel(client, found).items():
        typer.echo(f"run {run_id} could not be asked to end: {reason}")
    typer.echo("cancelled; `backfill status` shows what was left empty")


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
