"""A transfer's request and the slices that it is cut into. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta


@dataclass(frozen=True)
class Request:
    """What is transferred: the rows of one profile whose day column lies in `[start, end)` (aware, UTC).

    reach: conversations that began before it do not belong; only labels ask, None is no bound.
    """

    customer: str
    profile: str
    start: datetime
    end: datetime
    reach: datetime | None = None

    def days(self) -> Iterator[tuple[datetime, datetime]]:
        """UTC days in order, the first and last cut to the range; they tile it with neither gap nor overlap."""
        start = self.start
        while start < self.end:
            midnight = datetime.combine(start.date(), time.min, start.tzinfo)
            end = min(midnight + timedelta(days=1), self.end)
            yield start, end
            start = end


@dataclass(frozen=True)
class Slice:
    """Ids of `[start, end)` with `after < id <= upto`; None: open on that side.

    since: only those of which something changed from then on; None: all.
    size: how many ids there were when it was planned.
    """

    start: datetime
    end: datetime
    after: str | None = None
    upto: str | None = None
    since: datetime | None = None
    size: int = 0

    def first(self, upto: str | None, size: int, wanted: int) -> "Slice":
        """Its first part, up to that id; the last one keeps the whole's own end, for ids that appear after the planning."""
        return replace(self, upto=upto if size >= wanted else self.upto, size=size)

    def rest(self, first: "Slice") -> "Slice | None":
        """What is left behind its first part; None if that was all."""
        return None if first.upto == self.upto else replace(self, after=first.upto)


@dataclass
class Pace:
    """How many ids the next slice gets: as many as take about `seconds`, never more than `most`.

    A slice that took too long or was too large halves it at once.
    """

    size: int
    most: int
    seconds: float = 2.0

    def took(self, size: int, seconds: float) -> None:
        """A slice of that many ids took so long; a small last one says nothing."""
        if size < self.size:
            return
        factor = min(max(self.seconds / max(seconds, 1e-6), 0.5), 2.0)
        self.size = min(max(round(self.size * factor), 1), self.most)

    def halve(self) -> None:
        self.size = max(self.size // 2, 1)
