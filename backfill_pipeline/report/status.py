"""`backfill status` for people, 80 columns wide, and as one JSON document for programs. Pure functions."""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import TypeAdapter
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from backfill_pipeline.domain.status import Attention, ClusterStatus, Launched, Running, Status, Stranger, Trouble
from backfill_pipeline.report.amounts import NOTHING, UNKNOWN, lasting, short
from backfill_pipeline.report.lists import cut_note, list_table, name_column

WIDTH = 80
MAX_ROWS = 40  # of each list; --json has all
NARROWER = ", --customer narrows"
DOCUMENT: TypeAdapter[Status] = TypeAdapter(Status)
LEGEND = (
    "days: run running, fail failed, canc cancelled, quar quarantined, empt emptied\n"
    "wait: runs in Dagster's queue; rows/s: of one run, by the newest windows;\n"
    "beat: age of the oldest heartbeat; without one, the execution's own"
)
_LOOKS = {
    Trouble.EMPTIED: "bold red",
    Trouble.RETRIES: "bold red",
    Trouble.QUARANTINED: "red",
    Trouble.FAILED: "yellow",
    Trouble.CANCELLED: "yellow",
    Trouble.PAUSED: "magenta",
    Trouble.STOPPED: "bold magenta",
}
_DAYS = {
    "done": "done",
    "run": "running",
    "fail": "failed",
    "canc": "cancelled",
    "quar": "quarantined",
    "empt": "emptied",
    "left": "left",
}
HEADINGS = (*_DAYS, "wait", "rows", "rows\n/s", "time\nleft", "beat")


def document(status: Status) -> str:
    return DOCUMENT.dump_json(status, indent=2).decode()


def status_tables(status: Status) -> Group:
    """The clusters, who needs somebody, what runs, executions that no run follows, and what could not be asked."""
    return Group(*_parts(status))


def _parts(status: Status) -> Iterator[RenderableType]:
    yield clusters_table(status)
    yield from held_up(status)
    yield Text(LEGEND, "dim")
    yield from not_begun(status)
    for rows, table in lists(status):
        if rows:
            yield table(rows)
            yield from _cut(rows)
    yield from days_cut(status)
    yield from not_asked(status)


def lists(status: Status) -> tuple[tuple[Sequence[Any], Callable[[Any], Table]], ...]:
    """Each list with the table of some of its rows, most urgent first."""
    return (
        (status.attention, attention_table),
        (status.running, partial(running_table, status.asked_at)),
        (status.strangers, strangers_table),
    )


def held_up(status: Status) -> Iterator[Text]:
    return (Text(f"{c.cluster}: {c.diagnosis}") for c in status.clusters if c.diagnosis)


def not_begun(status: Status) -> Iterator[Text]:
    return (Text(_launch(each, status.asked_at)) for each in status.launched)


def days_cut(status: Status) -> Iterator[Text]:
    return (Text(line) for line in status.cut)


def not_asked(status: Status) -> Iterator[Text]:
    for unasked in status.unasked:
        what = f"{unasked.system} of {unasked.cluster}" if unasked.cluster else unasked.system
        yield Text(f"? {what} was not asked: {unasked.why}", "bold")


def _cut(rows: Sequence[object]) -> Iterator[Text]:
    """Below the table: a caption is wrapped at the table's width, which may be a few letters."""
    if note := cut_note(len(rows), MAX_ROWS, NARROWER):
        yield Text(note, "dim")


# The clusters.


def clusters_table(status: Status, without: Collection[str] = ()) -> Table:
    """without: headings of columns to leave out."""
    table = list_table(f"Clusters, {status.asked_at:%Y-%m-%d %H:%M:%S} UTC")
    name_column(table)
    for heading in (h for h in HEADINGS if h not in without):
        table.add_column(heading, justify="right", no_wrap=True)
    for cluster in status.clusters:
        cells = [*_days(cluster), _count(cluster.queued_runs), *_speed(cluster)]
        shown = (cell for heading, cell in zip(HEADINGS, cells, strict=True) if heading not in without)
        table.add_row(Text(cluster.cluster), *shown)
    return table


def _days(cluster: ClusterStatus) -> list[Text]:
    return [_count(getattr(cluster.days, name) if cluster.days else None) for name in _DAYS.values()]


def _count(number: int | None) -> Text:
    if not number:
        return Text(UNKNOWN if number is None else NOTHING)
    return Text(f"{number:,}" if number >= 10_000 else str(number))  # a comma more would be a column's width


def _speed(cluster: ClusterStatus) -> list[Text]:
    """What the ledger did not tell is unknown; what it has no history of is nothing."""
    absent = UNKNOWN if cluster.days is None else NOTHING
    beat = UNKNOWN if cluster.open_executions is None else NOTHING
    rows, speed, left, age = cluster.rows, cluster.rows_per_second, cluster.seconds_left, cluster.heartbeat_age_seconds
    return [
        Text(absent if rows is None else short(rows)),
        Text(absent if speed is None else short(speed)),
        Text(absent if left is None else lasting(left)),
        Text(beat if age is None else lasting(age)),
    ]


def _launch(each: Launched, now: datetime) -> str:
    days = "days" if each.days is None else f"{each.days} day{'s' * (each.days > 1)}"
    what = f"{days} of {len(each.of)} asset{'s' * (len(each.of) > 1)}"
    since = lasting(max((now - each.at).total_seconds(), 0.0))
    return f"launched, no run yet: backfill {each.backfill_id} ({what}), {since} ago"


# Who needs somebody.


def attention_table(attention: Sequence[Attention]) -> Table:
    table = list_table("Needs attention")
    table.add_column("", no_wrap=True)
    table.add_column("who and which days", overflow="fold", max_width=30)
    table.add_column("why, and what next", overflow="fold")
    for each in attention[:MAX_ROWS]:
        table.add_row(Text(each.trouble, _LOOKS[each.trouble]), Text(_who(each)), Text(_why(each)))
    return table


def _who(each: Attention) -> str:
    if each.customer is None:
        return each.cluster or "every cluster"
    days = ", ".join(each.days[:3]) + (f" and {len(each.days) - 3} more" if len(each.days) > 3 else "")
    return f"{each.cluster}/{each.customer} {each.dataset}\n{days} ({each.count})"


def _why(each: Attention) -> str:
    due = f"; due {each.due_at:%Y-%m-%d %H:%M:%S} UTC" if each.due_at else ""
    return f"{each.why}{due}" + (f"\n{each.command}" if each.command else "")


# What runs.


def running_table(now: datetime, running: Sequence[Running]) -> Table:
    table = list_table("Running")
    table.add_column("who and which days", overflow="fold", max_width=34)
    table.add_column("done of total", overflow="fold", max_width=20)
    for heading in ("per s", "time left", "beat", "since"):
        table.add_column(heading, justify="right")
    for each in running[:MAX_ROWS]:
        since = (now - each.since).total_seconds()
        table.add_row(Text(_window(each)), Text(_progress(each)), *_pace(each), Text(lasting(max(since, 0.0))))
    return table


def _window(each: Running) -> str:
    ending = ", ending" if each.is_ending else ""
    return f"{each.cluster}/{each.customer} {each.dataset}\n{', '.join(each.days)}{ending}"


def _progress(each: Running) -> str:
    if each.done is None:
        return UNKNOWN if each.executions is None else f"{NOTHING} ({'deleted' if each.is_emptied else 'not deleted'})"
    total = UNKNOWN if each.total is None else f"{each.total:,}"
    return f"{each.done:,} of {total} {each.unit}"


def _pace(each: Running) -> list[Text]:
    absent = UNKNOWN if each.executions is None else NOTHING
    speed, left, age = each.per_second, each.seconds_left, each.heartbeat_age_seconds
    return [
        Text(absent if speed is None else short(speed)),
        Text(absent if left is None else lasting(left)),
        Text(absent if age is None else _beat(age, f"{each.never_beat} never" if each.never_beat else "")),
    ]


def _beat(age: float, note: str) -> str:
    return f"{lasting(age)}\n{note}".rstrip()


# Executions that no run follows.


def strangers_table(strangers: Sequence[Stranger]) -> Table:
    table = list_table("Open executions that no run follows")
    table.add_column("execution", overflow="fold")
    table.add_column("is", no_wrap=True)
    table.add_column("beat", justify="right")
    for each in strangers[:MAX_ROWS]:
        age = each.heartbeat_age_seconds
        beat = NOTHING if age is None else _beat(age, "never" if each.never_beat else "")
        table.add_row(Text(_execution(each)), Text(each.standing), Text(beat))
    return table


def _execution(each: Stranger) -> str:
    whose = f"{each.cluster}/{each.customer or UNKNOWN} {each.range or ''}".rstrip()
    return f"{each.workflow_id}\n{whose}"
