"""Commands that change something: retry, reset, cancel, pause, resume."""

from typing import TYPE_CHECKING, Annotated

import typer

from backfill_pipeline.cli.app import LOCAL, ConfigFile, DagsterUrl, Folder, app, examples
from backfill_pipeline.cli.options import (
    Approve,
    Cluster,
    Clusters,
    Customers,
    Datasets,
    Days,
    JobDays,
    Why,
    Yes,
    ask_again,
    confirm,
    days_of,
    how_of,
)

if TYPE_CHECKING:
    from backfill_pipeline.operations.cancel import AtWork


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
    from backfill_pipeline.operations.cancel import Canceller, refuse_emptied
    from backfill_pipeline.operations.select import select
    from backfill_pipeline.steps.systems import open_ledger

    if finish and leave_empty:
        raise typer.BadParameter("--finish and --leave-empty: use one of them")
    site = site_of(folder, config, dagster)
    wanted = select(site.config, cluster or (), customer or (), dataset or ())
    canceller = Canceller(dagster_client(site), open_ledger(site.config), wanted)
    found = canceller.look()
    _tell(found)
    if found.is_nothing:
        return
    if not (finish or leave_empty):
        refuse_emptied(found)
    confirm(yes, f"Cancel {len(found.backfills)} backfills and {len(found.runs)} runs?")
    if not (finish or leave_empty):
        refuse_emptied(found := canceller.look())  # a question may stand for minutes
    refused = canceller.finish(on_poll=_tell_finishing) if finish else canceller.leave_empty(found)
    for run_id, reason in refused.items():
        typer.echo(f"run {run_id} could not be asked to end: {reason}", err=True)
    typer.echo("cancelled; `backfill status` shows what was left empty")
    raise typer.Exit(1 if refused else 0)


def _tell(found: "AtWork") -> None:
    for backfill in found.beyond:
        typer.echo(f"backfill {backfill.backfill_id} has other customers too: it goes on, and may launch these again")
    if found.is_nothing:
        typer.echo("nothing is at work there")
    for run, emptied in found.emptied:
        typer.echo(
            f"emptied: {emptied.dataset} of {emptied.customer} on {emptied.cluster}, {emptied.window}, run {run.run_id}"
        )


def _tell_finishing(found: "AtWork") -> None:
    others = len(found.runs) - len(found.emptying)
    typer.echo(f"{len(found.emptied)} emptied windows are at work; {others} other runs end, or are asked to")


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
