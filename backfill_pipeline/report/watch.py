"""`backfill status --watch`: as much of the status as one screen holds, the clusters first. Says what it leaves out."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.text import Text

from backfill_pipeline.domain.status import Status
from backfill_pipeline.report.status import (
    LEGEND,
    MAX_ROWS,
    WIDTH,
    clusters_table,
    days_cut,
    held_up,
    lists,
    not_asked,
    not_begun,
)

LEFT_OUT_FIRST = ("rows", "rows\n/s", "canc", "wait", "run", "done", "time\nleft", "beat", "quar")
LATER = 3  # of the lines that are left, a list leaves this part to those below it
LISTS = ("attention", "running", "strangers")
Rows = Sequence[Any]


@dataclass(frozen=True)
class Watched:
    """Never more lines than the screen has: what runs over would scroll away, and take the clusters along."""

    status: Status

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        screen = _Screen(console, options.update(height=None), options.height or options.max_height)
        self._fill(screen)
        for line in screen.drawn():
            yield from (*line, Segment.line())

    def _fill(self, screen: "_Screen") -> None:
        screen.add(self._clusters, self.status.clusters, "clusters")
        notes = [part for of in (not_asked, days_cut, held_up, not_begun) for part in of(self.status)]
        screen.add(lambda some: Group(*some), notes, "notes", kept=screen.room // LATER)
        parts = list(zip(LISTS, lists(self.status), strict=True))
        for at, (name, (rows, table)) in enumerate(parts):
            below = sum(screen.height(later(some[:MAX_ROWS])) for _, (some, later) in parts[at + 1 :] if some)
            screen.add(table, rows, name, kept=min(below, screen.room // LATER))
        screen.add_whole(Text(LEGEND, "dim"))

    def _clusters(self, some: Rows) -> RenderableType:
        return _Clusters(replace(self.status, clusters=tuple(some)))


@dataclass(frozen=True)
class _Clusters:
    """Columns that do not fit are left out whole: one that is cut looks like a smaller number."""

    status: Status

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        out: list[str] = []
        while self._width(console, options, out) > options.max_width and len(out) < len(LEFT_OUT_FIRST):
            out.append(LEFT_OUT_FIRST[len(out)])
        yield clusters_table(self.status, out)
        if out:
            names = ", ".join(heading.replace("\n", " ") for heading in out)
            yield Text(f"too narrow for: {names}; {WIDTH} columns show all", "dim")

    def _width(self, console: Console, options: ConsoleOptions, out: Sequence[str]) -> int:
        """Of the numbers, with names of no length: they fold."""
        nameless = tuple(replace(c, cluster="") for c in self.status.clusters)
        table = clusters_table(replace(self.status, clusters=nameless), out)
        return console.measure(table, options=options.update(max_width=10 * WIDTH)).maximum


class _Screen:
    """Lines, up to so many; the last one is kept for what was left out."""

    def __init__(self, console: Console, options: ConsoleOptions, height: int) -> None:
        self._console, self._options, self._height = console, options, height
        self._lines: list[list[Segment]] = []
        self._left_out: list[str] = []

    @property
    def room(self) -> int:
        return self._height - 1 - len(self._lines)

    def height(self, part: RenderableType) -> int:
        return len(self._drawn(part))

    def drawn(self) -> list[list[Segment]]:
        more = self._drawn(Text(f"more: {', '.join(self._left_out)}: backfill status", "dim"))
        return self._lines + (more[:1] if self._left_out else [])

    def add_whole(self, part: RenderableType) -> None:
        """All of it, or nothing."""
        drawn = self._drawn(part)
        self._lines += drawn if len(drawn) <= self.room else []

    def add(self, table: Callable[[Rows], RenderableType], rows: Rows, name: str, *, kept: int = 0) -> None:
        """As many of the rows as fit. kept: lines for what comes below, unless not even one row would be seen."""
        fit = self._fitting(table, rows, self.room - kept) or self._fitting(table, rows[:1], self.room)
        self._lines += self._drawn(table(rows[:fit])) if fit else []
        if left := len(rows) - fit:
            self._left_out.append(f"{name} {left:,}")

    def _fitting(self, table: Callable[[Rows], RenderableType], rows: Rows, room: int) -> int:
        """Every row is a line at least."""
        most = range(1, min(len(rows), MAX_ROWS, max(room, 0)) + 1)
        return bisect_right(most, room, key=lambda count: self.height(table(rows[:count])))

    def _drawn(self, part: RenderableType) -> list[list[Segment]]:
        return self._console.render_lines(part, self._options, pad=False)
