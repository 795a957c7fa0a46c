"""Commands that only look: how the clusters are doing, and what a launch would do."""

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from backfill_pipeline.cli.app import LOCAL, ConfigFile, DagsterUrl, Folder, app, examples
from backfill_pipeline.cli.options import (
    Approve,
    AsJson,
    Clusters,
    Customers,
    Datasets,
    First,
    JobDays,
    Last,
    approved_of,
    day_of,
)

if TYPE_CHECKING:
    from rich.console import Console

    from backfill_pipeline.config import Config
    from backfill_pipeline.domain.forecast import Forecast
    from backfill_pipeline.domain.status import Status
    from backfill_pipeline.domain.windows import Window
    from backfill_pipeline.operations.launch import How
    from backfill_pipeline.operations.status import Asked
    from backfill_pipeline.operations.survey import Days

EVERY_SECONDS = 5.0
EXAMPLE = "--start-time 2026-01-01 --end-time 2026-01-31"


@app.command(epilog=examples("backfill status", "backfill status --cluster north --watch", "backfill status --json"))
def status(
    cluster: Clusters = None,
    customer: Customers = None,
    dataset: Datasets = None,
    start_time: Annotated[str | None, typer.Option(help="First day; else each cluster's first_day.")] = None,
    end_time: Annotated[str | None, typer.Option(help="Last day, inclusive; else yesterday (UTC).")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Ask again every 5 s until Ctrl-C; shows what fits.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dagster: DagsterUrl = None,
    folder: Folder = LOCAL,
) -> None:
    """All clusters in one table: days, rows, rate, time left; who needs attention, and what runs. Touches nothing.

    Exit code 0 if everything was asked, 1 if something could not be (it is shown as `?`), 2 for bad input or no server.
    """
    from backfill_pipeline.cli.site import site_of
    from backfill_pipeline.operations.select import select
    from backfill_pipeline.operations.status import Asked

    if watch and as_json:
        raise typer.BadParameter("--json prints one document, --watch never ends: use one of them")
    first, last = day_of(start_time), day_of(end_time)
    site = site_of(folder, config, dagster)
    assets = select(site.config, cluster or (), customer or (), dataset or ())
    asked = Asked(site.config, assets, site.dagster, first, last, customers_named=bool(customer))
    raise typer.Exit(_watched(asked) if watch else _printed(asked, as_json=as_json))


def _printed(asked: "Asked", *, as_json: bool) -> int:
    from backfill_pipeline.operations.status import status as look
    from backfill_pipeline.report.status import document, status_tables

    found = look(asked)
    if as_json:
        print(document(found))
    else:
        _print(status_tables(found))
    return _code(found)


def _code(found: "Status | Forecast") -> int:
    """What was asked in part is shown in part; with no server at all it is the addresses that are wrong."""
    return 2 if found.is_unanswered else 1 if found.unasked else 0


def _watched(asked: "Asked") -> int:
    import time

    from rich.console import Console
    from rich.live import Live

    from backfill_pipeline.operations.status import status as look
    from backfill_pipeline.report.status import status_tables
    from backfill_pipeline.report.watch import Watched

    found, console = look(asked), Console()
    is_screen = console.is_terminal and not console.is_dumb_terminal
    try:
        with (
            Live(Watched(found), console=console, auto_refresh=False, screen=True)
            if is_screen
            else nullcontext() as live
        ):
            while True:
                if not live:
                    _print(status_tables(found))
                time.sleep(EVERY_SECONDS)
                found = look(asked)
                if live:
                    live.update(Watched(found), refresh=True)
    except KeyboardInterrupt:
        if is_screen:
            _print(status_tables(found))  # with the screen goes what it showed
        return _code(found)


@app.command(
    epilog=examples(
        f"backfill plan {EXAMPLE}",
        f"backfill plan {EXAMPLE} --statements",
        f"backfill plan --dataset labels {EXAMPLE}",
    )
)
def plan(
    start_time: First,
    end_time: Last,
    cluster: Clusters = None,
    customer: Customers = None,
    dataset: Datasets = None,
    approve: Approve = None,
    job_days: JobDays = None,
    statements: Annotated[bool, typer.Option("--statements", help="Print each delete too, as SQL alone.")] = False,
    manifests: Annotated[bool, typer.Option("--manifests", help="Print the Jobs' manifests, as YAML alone.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    folder: Folder = LOCAL,
) -> None:
    """What a rebuild of all these days would do: runs, deletes, Jobs, rows and bytes to write again, time. Touches nothing.

    Whatever is done or at work: `backfill launch --dry-run` shows what a launch
    would do now, which leaves that out. Windows that a guard refuses now, or
    whose Job could not be made, are shown with every reason.

    Exit code 0 if all was planned, refusals included, 1 if a system could not be
    asked, 2 for bad input or no server.
    """
    from backfill_pipeline.cli.site import site_of
    from backfill_pipeline.operations.plan import Wanted, planned
    from backfill_pipeline.operations.select import select
    from backfill_pipeline.report import plan as shown

    if statements and manifests and not as_json:
        raise typer.BadParameter("--statements is SQL, --manifests is YAML: use one of them, or --json for both")
    first, last = day_of(start_time), day_of(end_time)
    assert first is not None
    assert last is not None
    site = site_of(folder, config, None)
    assets = select(site.config, cluster or (), customer or (), dataset or ())
    approved = approved_of(approve)
    found = planned(Wanted(site.config, assets, first, last, manifests, approved, job_days))
    if as_json or statements or manifests:
        print((shown.document if as_json else shown.statements if statements else shown.manifests)(found))
        _say_what_is_missing(found)
        raise typer.Exit(_code(found))
    raise typer.Exit(_shown(found))


def shown_plan(config: "Config", days: "Days", window: "Window", how: "How") -> int:
    """The plan of a launch of these days as tables; the exit code of `backfill plan`."""
    from backfill_pipeline.operations.plan import Wanted, planned

    first, last = window.days[0], window.days[-1]
    wanted = Wanted(config, tuple(days), first, last, approved=how.approved, job_days=how.job_days, days=days)
    return _shown(planned(wanted))


def _shown(found: "Forecast") -> int:
    from backfill_pipeline.report.plan import plan_tables

    _print(plan_tables(found))
    return _code(found)


def _print(shown: object) -> None:
    _console().print(shown)


def _console() -> "Console":
    """Never narrower than the tables: columns that do not fit would be left out without a word."""
    from rich.console import Console

    from backfill_pipeline.report.status import WIDTH

    narrow = Console()
    return narrow if narrow.width >= WIDTH else Console(width=WIDTH)


def _say_what_is_missing(found: "Forecast") -> None:
    """To stderr: what is printed is SQL or a document, in which nobody reads it."""
    from backfill_pipeline.report.plan import missing

    for line in missing(found):
        print(line, file=sys.stderr)
