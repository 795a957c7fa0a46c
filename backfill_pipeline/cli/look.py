"""Commands that only look: how the clusters are doing, and what a launch would do."""

from typing import TYPE_CHECKING, Annotated

import typer

from backfill_pipeline.cli.app import LOCAL, ConfigFile, DagsterUrl, Folder, app
from backfill_pipeline.cli.selection import AsJson, Clusters, Customers, Datasets, day_of

if TYPE_CHECKING:
    from backfill_pipeline.operations.status import Asked

EVERY_SECONDS = 5.0


@app.command(epilog="Examples: backfill status | backfill status --cluster north --watch | backfill status --json")
def status(
    cluster: Clusters = None,
    customer: Customers = None,
    dataset: Datasets = None,
    start_time: Annotated[str | None, typer.Option(help="First day; else each cluster's first_day.")] = None,
    end_time: Annotated[str | None, typer.Option(help="Last day, inclusive; else yesterday (UTC).")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Ask again every 5 s until Ctrl-C.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dagster: DagsterUrl = None,
    folder: Folder = LOCAL,
) -> None:
    """All clusters in one table: days, rows, rate, time left; who needs attention, and what runs. Touches nothing.

    Exit code 0 if everything was asked, 1 if something could not be (it is shown as `?`), 2 for bad input.
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
    from rich.console import Console

    from backfill_pipeline.operations.status import status as look
    from backfill_pipeline.report.status import document, status_tables

    found = look(asked)
    if as_json:
        print(document(found))
    else:
        Console().print(status_tables(found))
    return 1 if found.unasked else 0


def _watched(asked: "Asked") -> int:
    import time

    from rich.live import Live

    from backfill_pipeline.operations.status import status as look
    from backfill_pipeline.report.status import status_tables

    found = look(asked)
    try:
        with Live(status_tables(found), auto_refresh=False, vertical_overflow="visible") as live:
            while True:
                time.sleep(EVERY_SECONDS)
                found = look(asked)
                live.update(status_tables(found), refresh=True)
    except KeyboardInterrupt:
        return 1 if found.unasked else 0
