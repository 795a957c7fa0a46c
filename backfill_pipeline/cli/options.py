"""Options that several commands share, and how they ask."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from backfill_pipeline.config import Config
    from backfill_pipeline.domain.guards import Approval
    from backfill_pipeline.domain.windows import Window
    from backfill_pipeline.operations.launch import How
    from backfill_pipeline.operations.survey import Days as DaysOf
    from backfill_pipeline.operations.survey import Survey
    from backfill_pipeline.stores.ledger import Ledger


def said_of_person(text: str | None) -> str | None:
    """Free text, which is sent on as it is given.

    Raises:
        Refused: it is no text.
    """
    from backfill_pipeline.domain.texts import said

    return said(text) if text is not None else None


Clusters = Annotated[list[str] | None, typer.Option("--cluster", help="Only this cluster; may be repeated.")]
Customers = Annotated[
    list[str] | None, typer.Option("--customer", help="Only this customer, or a glob such as 'acme*'; may be repeated.")
]
Datasets = Annotated[list[str] | None, typer.Option("--dataset", help="Only this dataset; may be repeated.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
First = Annotated[str, typer.Option("--start-time", help="First day, such as 2026-01-01 (UTC).")]
Last = Annotated[str, typer.Option("--end-time", help="Last day; it belongs to the range.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Why = Annotated[
    str | None, typer.Option(callback=said_of_person, help="Stands on every run, in the audit and on the Jobs.")
]
JobDays = Annotated[
    int | None, typer.Option(min=1, max=366, help="Days of one Job at most; else the pipeline decides.")
]
Approve = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GUARD",
        help="What this guard refuses is meant: shrunken_source, retention, rows, future_versions; may be repeated.",
    ),
]
Cluster = Annotated[str, typer.Argument(help="The cluster's name.")]
Days = Annotated[
    list[str] | None,
    typer.Argument(help="Days such as 2026-01-05, or ranges such as 2026-01-05..2026-01-09; none: all that failed."),
]

NOBODY_ANSWERS = "There is no input to answer on: give --yes"


def day_of(text: str | None) -> date | None:
    """A day as people write it; None where none is given.

    Raises:
        Refused: it is none.
    """
    from backfill_pipeline.domain.windows import parse_day

    return parse_day(text) if text is not None else None


def days_of(texts: list[str] | None) -> list[date]:
    """The days of `2026-01-05` and `2026-01-05..2026-01-09`, each once and in order.

    Raises:
        Refused: one is neither, or is reversed.
    """
    ends = [text.split("..", 1) for text in texts or ()]
    return sorted({day for end in ends for day in window_of(end[0], end[-1]).days})


def window_of(first: str, last: str) -> "Window":
    """The range of two inclusive days.

    Raises:
        Refused: one is no day, or they are reversed.
    """
    from backfill_pipeline.domain.windows import from_inclusive_days, parse_day

    return from_inclusive_days(parse_day(first), parse_day(last))


def approved_of(names: list[str] | None) -> "frozenset[Approval]":
    """The guards of --approve.

    Raises:
        Refused: no guard has such a name.
    """
    from backfill_pipeline.domain.guards import approvals, approving

    return approvals(approving(names or ()))


def how_of(why: str | None, job_days: int | None, approve: list[str] | None, *, skip_logs: bool = False) -> "How":
    """How runs are to be launched by whoever types this.

    Raises:
        Refused: no guard has such a name.
    """
    from backfill_pipeline.clients.account import account
    from backfill_pipeline.operations.launch import How

    return How(account(), why, job_days, approved_of(approve), skip_logs)


def confirm(yes: bool, question: str) -> None:
    """Ask, unless --yes was given; no answer is a no, and where nobody can give one, as in a script, --yes is named."""
    if yes:
        return
    if sys.stdin is None:
        typer.echo(f"{question} {NOBODY_ANSWERS}", err=True)
        raise typer.Abort()
    try:
        agreed = typer.confirm(question)
    except typer.Abort:
        if not sys.stdin.isatty():
            typer.echo(f"\n{NOBODY_ANSWERS}", err=True)
        raise
    if not agreed:
        raise typer.Abort()


@contextmanager
def begun() -> "Iterator[None]":
    """What goes away from here on was there when the command began: no bad input, and some of the work may be done."""
    from backfill_pipeline.domain.errors import Kind, PipelineError

    try:
        yield
    except PipelineError as error:
        if error.kind is not Kind.UNREACHABLE:
            raise
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def tell_pauses(ledger: "Ledger", clusters: Iterable[str]) -> frozenset[str]:
    """Those of these clusters on which nothing will start, each told."""
    from backfill_pipeline.stores.pauses import read_pauses

    pauses = read_pauses(ledger)
    idle = [c for c in sorted(set(clusters)) if c in pauses and pauses[c].in_force]
    for cluster in idle:
        typer.echo(str(pauses[cluster]))
    return frozenset(idle)


def still_free(now: "Survey", *, again: bool, hint: str) -> "DaysOf":
    """What nobody took while the question stood, which may be for minutes; the rest is told."""
    from backfill_pipeline.cli.work import taken

    meanwhile = replace(now, done={}) if again else now
    for line in taken(meanwhile, hint):
        typer.echo(f"meanwhile {line}")
    return now.free(again=again)


def ask_again(
    ledger: "Ledger",
    config: "Config",
    days: "DaysOf",
    yes: bool,
    how: "How",
    look_again: "Callable[[DaysOf], DaysOf]" = lambda days: days,
) -> None:
    """Give these days back to the retries, once it was agreed to. look_again: what is left of them after the question."""
    from backfill_pipeline.domain.windows import windows_of
    from backfill_pipeline.operations import again
    from backfill_pipeline.report.amounts import counted

    for of, those in days.items():
        windows = ", ".join(map(str, windows_of(those)))
        typer.echo(f"{of.dataset} of {of.customer} on {of.cluster}: {windows}")
    idle = tell_pauses(ledger, (of.cluster for of in days))
    confirm(yes, f"Do {counted(sum(map(len, days.values())), 'day')} again?")
    days = days if yes else look_again(days)
    again.ask_again(ledger, config, days, how)
    typer.echo(_asked({of.cluster for of in days}, idle))


def _asked(clusters: set[str], idle: frozenset[str]) -> str:
    if not clusters:
        return "nothing is left to do again"
    later = f"; on {' and '.join(sorted(idle & clusters))} once that is resumed" if idle & clusters else ""
    return f"asked for; the retry sensor launches them, a window per customer at a time{later}"
