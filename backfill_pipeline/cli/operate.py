"""Commands that change what is done next: retry, reset, pause, resume."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

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
    said_of_person,
    still_free,
)
from backfill_pipeline.cli.work import taken

if TYPE_CHECKING:
    from backfill_pipeline.operations.again import NotTaken

PROVED = "proved right since it failed, left out; `backfill reset` does it all the same"


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
    dagster: DagsterUrl = None,
) -> None:
    """Do failed days again now, also those that were given up; their attempts are counted anew.

    The retry sensor launches them at its next tick, a window per customer at a time. Days that somebody is at work on, or
    that were proved right since, are left out and named.
    """
    from backfill_pipeline.cli.site import dagster_client, site_of
    from backfill_pipeline.operations.again import failed_days, not_taken
    from backfill_pipeline.operations.select import refuse_no_partitions, select
    from backfill_pipeline.operations.survey import survey
    from backfill_pipeline.steps.systems import open_ledger

    named, how = days_of(days), how_of(why, job_days, approve)
    site = site_of(folder, config, dagster)
    wanted = select(site.config, cluster or (), () if customer is None else [customer], dataset or ())
    refuse_no_partitions(site.config, wanted, named)
    client, ledger = dagster_client(site), open_ledger(site.config)
    found = survey(client, ledger, failed_days(ledger, wanted, named, cancelled=cancelled))
    for line in (*taken(found, PROVED), *_not_taken(not_taken(ledger, wanted, named), cancelled=cancelled)):
        typer.echo(line)
    if not (left := found.free(again=False)):
        typer.echo("nothing is left to do again" if found.asked else "no such day has failed")
        return
    ask_again(
        *(ledger, site.config, left, yes, how),
        lambda days: still_free(survey(client, ledger, days), again=False, hint=PROVED),
    )


def _not_taken(found: "NotTaken", *, cancelled: bool) -> Iterator[str]:
    from backfill_pipeline.report.amounts import counted

    if found.asked:
        yield f"asked for already: {counted(found.asked, 'day')}; `backfill status` shows them until they are done"
    if found.cancelled and not cancelled:
        empty = f", {counted(found.empty, 'day')} of it WITHOUT ROWS" if found.empty else ""
        yield f"cancelled by hand, left out: {counted(found.cancelled, 'day')}{empty}; --cancelled does it too"


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
    from backfill_pipeline.steps.systems import open_ledger

    named = days_of(days)
    site = site_of(folder, config, None)
    wanted = select(site.config, cluster or (), [customer], dataset or ())
    refuse_no_partitions(site.config, wanted, named)
    how = how_of(why, job_days, approve)
    ask_again(open_ledger(site.config), site.config, dict.fromkeys(wanted, named), yes, how)


@app.command(epilog=examples("backfill pause north --why 'disk is being changed'"))
def pause(
    cluster: Cluster,
    why: Annotated[
        str, typer.Option(callback=said_of_person, help="What the others read who wonder why nothing starts.")
    ],
    folder: Folder = LOCAL,
    config: ConfigFile = None,
    dagster: DagsterUrl = None,
) -> None:
    """Nothing more starts on a cluster, whoever launches it; what runs goes on.

    Exit code 1 where somebody else's pause, or a stop, is in force already: it stays, with its reason.
    """
    from backfill_pipeline.cli.site import dagster_client, site_of
    from backfill_pipeline.operations import pause as operation
    from backfill_pipeline.steps.systems import open_ledger

    site = site_of(folder, config, dagster)
    of = site.config.cluster(cluster)
    if other := operation.pause(dagster_client(site), open_ledger(site.config), of, why):
        typer.echo(f"{other}. It was so already and stays as it is: your reason is kept nowhere", err=True)
        raise typer.Exit(1)
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
