"""`backfill cancel`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from backfill_pipeline.cli.app import LOCAL, ConfigFile, DagsterUrl, Folder, app, examples, told_on_change
from backfill_pipeline.cli.options import Clusters, Customers, Datasets, Yes, begun, confirm, tell_pauses
from backfill_pipeline.cli.work import assets, cut, work_of

if TYPE_CHECKING:
    from backfill_pipeline.clients.dagster import RunState, Unfinished
    from backfill_pipeline.operations.cancel import AtWork, Canceller


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
    """Cancel backfills, runs, requests and pending retries of these customers; with no option, of all of them everywhere.

    A window that has lost its rows is finished, or left empty by name. `backfill retry --cancelled` does again what was
    cancelled. Exit code 1 if a run could not be asked to end, or a backfill goes on that has other customers too.
    """
    from backfill_pipeline.cli.site import dagster_client, site_of
    from backfill_pipeline.operations.cancel import Canceller, refuse_emptied
    from backfill_pipeline.operations.select import select
    from backfill_pipeline.steps.systems import open_ledger

    if finish and leave_empty:
        raise typer.BadParameter("--finish and --leave-empty: use one of them")
    site = site_of(folder, config, dagster)
    wanted = select(site.config, cluster or (), customer or (), dataset or ())
    policy = site.config.limits.retry_policy
    canceller = Canceller(dagster_client(site), open_ledger(site.config), wanted, policy)
    found = canceller.look()
    for line in _told(found):
        typer.echo(line)
    if found.is_nothing:
        raise typer.Exit(1 if found.beyond else 0)
    if not (finish or leave_empty):
        refuse_emptied(found)
    confirm(yes, _question(found, finish=finish))
    if not yes:
        found = _looked_again(canceller, found)  # a question may stand for minutes
    if not (finish or leave_empty):
        refuse_emptied(found)
    if finish and found.empty:
        tell_pauses(canceller.ledger, (s.last.of.cluster for s in found.empty))  # there no retry finishes anything
    with begun():
        refused = canceller.finish(on_poll=_tell_finishing()) if finish else canceller.leave_empty(found)
        if not finish:
            left, refused = canceller.wait_over(found, refused=refused, on_more=_tell_more)
        for run_id, reason in refused.items():
            typer.echo(f"run {run_id} could not be asked to end: {reason}", err=True)
        typer.echo(_finished(canceller) if finish else _left(canceller, left, refused))
    raise typer.Exit(1 if refused or found.beyond else 0)


def _looked_again(canceller: "Canceller", before: "AtWork") -> "AtWork":
    now, known = canceller.look(), set(_told(before))
    for line in (line for line in _told(now) if line not in known and not now.is_nothing):
        typer.echo(f"meanwhile {line}")
    return now


def _told(found: "AtWork") -> Iterator[str]:
    """Everything that a cancel would end, and what it would not."""
    from backfill_pipeline.operations.cancel import pending

    yield from map(_beyond, found.beyond)
    if found.is_nothing and not found.beyond:
        yield "nothing is at work there"
    yield from cut([f"backfill {b.backfill_id}: {assets(b.keys)}" for b in found.backfills], "backfills")
    yield from cut([_run(run) for run in found.runs], "runs")
    yield from cut([f"pending: {line}" for line in pending(found.waiting)], "pending windows")
    for run, emptied in found.emptied:
        who = f"{emptied.dataset} of {emptied.customer} on {emptied.cluster}"
        yield f"emptied: {who}, {emptied.window}, run {run.run_id}"
    yield from cut([f"emptied: {line}" for line in pending(found.empty)], "emptied windows")


def _beyond(backfill: "Unfinished") -> str:
    clusters = sorted({key[1] for key in backfill.keys if len(key) > 1})
    pauses = " and ".join(f"`backfill pause {c} --why ...`" for c in clusters)
    whole = " ".join(f"--cluster {c}" for c in clusters)
    return (
        f"backfill {backfill.backfill_id} has other customers too: it is not cancelled, and goes on to launch these. "
        f"{pauses} lets nothing more start; `backfill cancel {whole}` cancels all of it"
    )


def _run(run: "RunState") -> str:
    return f"run {run.run_id}: {work_of(run)}, by {_by(run.tags)}, {run.status}"


def _by(run_tags: Mapping[str, str]) -> str:
    """Not this process's account, which a run of the UI has nothing to do with."""
    from backfill_pipeline.defs import tags
    from backfill_pipeline.domain.texts import one_line

    names = (tags.LAUNCHED_BY, "dagster/sensor_name", "dagster/schedule_name")
    return next((name for n in names if (name := one_line(run_tags.get(n, "")))), "somebody in the UI")


def _question(found: "AtWork", *, finish: bool) -> str:
    from backfill_pipeline.operations.cancel import pending
    from backfill_pipeline.report.amounts import counted

    count = len(found.emptied) + len(pending(found.empty))
    if finish and count:
        ends = _counts(replace(found.but(found.emptying), waiting=found.untouched))
        return f"Finish {counted(count, 'emptied window')}{f', and cancel {ends}' if ends else ''}?"
    left = f", and leave {counted(count, 'window')} WITHOUT ROWS" if count else ""
    return f"Cancel {_counts(found)}{left}?"


def _counts(found: "AtWork") -> str:
    from backfill_pipeline.operations.cancel import pending
    from backfill_pipeline.report.amounts import counted

    kinds = (
        (len(found.backfills), "backfill"),
        (len(found.runs), "run"),
        (len(pending(found.waiting)), "pending window"),
    )
    told = [counted(count, kind) for count, kind in kinds if count]
    return " and ".join(filter(None, (", ".join(told[:-1]), *told[-1:])))


def _tell_finishing() -> "Callable[[AtWork], None]":
    from backfill_pipeline.operations.cancel import pending
    from backfill_pipeline.report.amounts import counted

    tell = told_on_change()

    def on_poll(found: "AtWork") -> None:
        count, others = len(found.emptied), len(found.runs) - len(found.emptying)
        windows = f"{counted(count, 'emptied window')} {'is' if count == 1 else 'are'} at work"
        waits = f"; waits for its retry: {', '.join(cut(pending(found.empty), 'windows'))}" if found.empty else ""
        tell(
            f"{windows}; {counted(others, 'other run')} {'ends, or is' if others == 1 else 'end, or are'} asked to{waits}"
        )

    return on_poll


def _finished(canceller: "Canceller") -> str:
    empty = _empty(canceller)
    return f"cancelled; {empty}" if empty else "cancelled; what was emptied is finished, no window is without rows"


def _left(canceller: "Canceller", left: "AtWork", refused: Mapping[str, str]) -> str:
    if refused:
        ids = ", ".join(cut(sorted(refused), "runs"))
        goes_on = f"what could not be asked to end may go on: {ids}; run this cancel again"
        return "; ".join(filter(None, (goes_on, _empty(canceller))))
    if not left.is_nothing:
        return (
            f"asked to end: {_counts(left)}; `backfill status` says when they are over, and what is left without rows"
        )
    return f"cancelled; {_empty(canceller) or 'no window is left without rows'}"


def _tell_more(run: "RunState") -> None:
    typer.echo(f"begun meanwhile, and asked to end too: {_run(run)}")


def _empty(canceller: "Canceller") -> str:
    from backfill_pipeline.report.amounts import counted

    count = len(canceller.without_rows())
    them, are = ("it", "is") if count == 1 else ("them", "are")
    shown = f"`backfill status` shows {them}, and how to do {them} again"
    return f"{counted(count, 'window')} {are} WITHOUT ROWS: {shown}" if count else ""
