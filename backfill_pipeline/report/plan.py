"""`backfill plan` for people, 80 columns wide, as YAML manifests, and as one JSON document. Pure functions."""

from collections.abc import Iterator, Sequence

import yaml
from pydantic import TypeAdapter
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from backfill_pipeline.domain.forecast import Forecast, PlannedCluster, PlannedWindow
from backfill_pipeline.report.amounts import UNKNOWN, counted, lasting, short
from backfill_pipeline.report.lists import cut_note, list_table, name_column

MAX_ROWS = 200  # --json has all
DOCUMENT: TypeAdapter[Forecast] = TypeAdapter(Forecast)
LEGEND = (
    "rows: of the source. bytes: by what a row takes in ClickHouse's parts now,\n"
    "uncompressed/on the disk of one replica. time: by the newest windows' own,\n"
    "with so many runs at once."
)
DRAWN = (
    "Marker and attempt id are as they would be drawn now. A launch draws its own:\n"
    "its bound is later, its Jobs' names end otherwise, and all else is the same."
)


def document(forecast: Forecast) -> str:
    return DOCUMENT.dump_json(forecast, indent=2).decode()


def manifests(forecast: Forecast) -> str:
    """The Jobs of the windows that would go, in their order, as a stream of YAML documents."""
    found = [job.manifest for window in forecast.windows if window.goes for job in window.jobs if job.manifest]
    return yaml.safe_dump_all(found, sort_keys=False, explicit_start=True) if found else ""


def statements(forecast: Forecast) -> str:
    """Each delete that would be sent to every shard, below a comment that says for what; a window without one says why."""
    return "\n".join(_statements(forecast.windows))


def _statements(windows: Sequence[PlannedWindow]) -> Iterator[str]:
    for line in DRAWN.splitlines():
        yield f"-- {line}"
    for window in windows:
        who = f"-- {window.dataset} of {window.customer} on {window.cluster}, {window.days}"
        if not window.goes:
            yield f"{who}: {'not planned' if window.unknown else 'refused'}"
            yield from (f"--   {line}" for line in _why_not(window))
            continue
        for delete in window.deletes:
            yield who
            yield f"{delete.statement};"


def _why_not(window: PlannedWindow) -> Iterator[str]:
    """Line by line: a reason with a break in it would end its comment."""
    for reason in (*window.refusals, window.unknown or ""):
        yield from reason.splitlines()


def missing(forecast: Forecast) -> Iterator[str]:
    """What would not be done, or not now."""
    yield from (each.paused for each in forecast.clusters if each.paused)
    refused = sum(bool(window.refusals) for window in forecast.windows)
    if refused:
        yield f"{refused} of {counted(len(forecast.windows), 'window')} would be refused"
    yield from (f"? {each.cluster} could not be planned in full: {each.why}" for each in forecast.unasked)


def plan_tables(forecast: Forecast) -> Group:
    return Group(*_parts(forecast))


def _parts(forecast: Forecast) -> Iterator[RenderableType]:
    yield _clusters(forecast)
    yield from (Text(line, "bold") for line in missing(forecast))
    yield _windows(forecast.windows)
    if any(w.refusals for w in forecast.windows):
        yield _reasons("Refused: a launch would touch nothing of these", [(w, w.refusals) for w in forecast.windows])
    if any(w.unknown for w in forecast.windows):
        told = [(w, (w.unknown,)) for w in forecast.windows if w.unknown]
        yield _reasons("Not planned: a system did not answer", told)
    yield Text(f"\n{LEGEND}\n{DRAWN}", "dim")


def _clusters(forecast: Forecast) -> Table:
    table = list_table(f"Plan of {forecast.first_day} to {forecast.last_day}; nothing was touched", gap=1)
    name_column(table)
    for heading in ("runs", "refused", "unknown", "Jobs", "rows", "bytes", "time", "at\nonce"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in forecast.clusters:
        table.add_row(Text(each.cluster), *map(Text, _sums(each)))
    return table


def _sums(each: PlannedCluster) -> Iterator[str]:
    yield from (f"{n:,}" for n in (each.windows, each.refused, each.unknown, each.jobs))
    yield _short(each.rows)
    yield _bytes(each)
    yield UNKNOWN if each.seconds is None else lasting(each.seconds)
    yield str(each.max_runs)


def _windows(windows: Sequence[PlannedWindow]) -> Table:
    table = list_table("Runs", caption=cut_note(len(windows), MAX_ROWS), gap=1)
    table.add_column("who and which days", overflow="fold")
    for heading in ("Jobs", "rows now", "rows", "bytes", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in windows[:MAX_ROWS]:
        table.add_row(Text(_who(each)), *map(Text, _amounts(each)))
    return table


def _amounts(each: PlannedWindow) -> Iterator[str]:
    if not each.goes:
        yield from (UNKNOWN if each.unknown else "refused", "", "", "", "")
        return
    yield str(len(each.jobs))
    yield from (_short(each.rows_now), _short(each.rows), _bytes(each))
    yield UNKNOWN if each.seconds is None else lasting(each.seconds)


def _reasons(title: str, told: Sequence[tuple[PlannedWindow, tuple[str, ...]]]) -> Table:
    shown = [(window, reasons) for window, reasons in told if reasons]
    table = list_table(title, caption=cut_note(len(shown), MAX_ROWS), gap=1)
    table.add_column("who and which days", overflow="fold", max_width=34)
    table.add_column("why", overflow="fold")
    for window, reasons in shown[:MAX_ROWS]:
        table.add_row(Text(_who(window)), Text("\n".join(reasons)))
    return table


def _who(each: PlannedWindow) -> str:
    return f"{each.cluster}/{each.customer}\n{each.dataset} {each.days}"


def _bytes(each: PlannedWindow | PlannedCluster) -> str:
    if each.uncompressed_bytes is None or each.compressed_bytes is None:
        return UNKNOWN
    return f"{short(each.uncompressed_bytes)}B/{short(each.compressed_bytes)}B"


def _short(amount: int | None) -> str:
    return UNKNOWN if amount is None else short(amount)
