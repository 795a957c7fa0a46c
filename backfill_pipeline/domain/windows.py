"""Half-open ranges of UTC days. People's inclusive days become a Window in one place and turn back in one other."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby

from backfill_pipeline.domain.errors import Refused

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, order=True)
class Window:
    """Days `[start, end)` in UTC, at least one day.

    Raises:
        Refused: the range is open, empty or reversed.
    """

    start: date  # inclusive
    end: date  # exclusive

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise Refused(
                "The window is empty or reversed",
                where=f"[{self.start}, {self.end})",
                why="the end is exclusive and must come after the start",
                next_step="give a start before the end",
            )

    @property
    def days(self) -> tuple[date, ...]:
        return tuple(self.start + ONE_DAY * i for i in range((self.end - self.start).days))

    @property
    def start_time(self) -> datetime:
        """First instant that belongs to the window (aware, UTC)."""
        return midnight(self.start)

    @property
    def end_time(self) -> datetime:
        """First instant that no longer belongs to the window (aware, UTC)."""
        return midnight(self.end)

    def overlaps(self, other: "Window") -> bool:
        return self.start < other.end and other.start < self.end

    def split(self, max_days: int) -> tuple["Window", ...]:
        """Consecutive windows of at most max_days that tile this one."""
        if max_days < 1:
            raise ValueError(f"max_days must be at least 1, not {max_days}")
        starts = self.days[::max_days]
        parts = tuple(Window(s, min(s + ONE_DAY * max_days, self.end)) for s in starts)
        assert tuple(d for part in parts for d in part.days) == self.days
        return parts

    def __str__(self) -> str:
        last = self.end - ONE_DAY
        return f"{self.start}" if last == self.start else f"{self.start}..{last}"


def whole_days(start: datetime, end: datetime) -> Window:
    """The window of a range between two midnights (aware).

    Raises:
        Refused: it begins or ends within a day, or is empty.
    """
    first, last = start.astimezone(UTC), end.astimezone(UTC)
    if any(midnight(m.date()) != m for m in (first, last)):
        raise Refused(
            "The range is not of whole days",
            where=f"[{rfc3339(first)}, {rfc3339(last)})",
            why="it begins or ends within a UTC day",
            next_step="give midnights",
        )
    return Window(first.date(), last.date())


def midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def from_inclusive_days(first: date, last: date) -> Window:
    """The one door in for ranges as people write them: both days belong to it.

    Raises:
        Refused: they are reversed; told with these days, not with an exclusive end that nobody gave.
    """
    if last < first:
        raise Refused(
            "The range is reversed",
            where=f"{first} to {last}",
            why="the last day is before the first",
            next_step="swap them",
        )
    return Window(first, last + ONE_DAY)


def windows_of(days: Iterable[date]) -> tuple[Window, ...]:
    """Fewest windows that hold exactly these days, in order."""
    wanted = sorted(set(days))
    windows = tuple(_runs(wanted))
    assert [d for w in windows for d in w.days] == wanted
    return windows


def spans(days: Iterable[date]) -> tuple[str, ...]:
    """As people read them, gaps left out: 2026-01-01..2026-01-03, 2026-01-05."""
    return tuple(str(w) for w in windows_of(days))


def _runs(days: list[date]) -> Iterator[Window]:
    """Consecutive days keep their distance to their position; a hole changes it."""
    for _, run in groupby(enumerate(days), key=lambda at: at[1].toordinal() - at[0]):
        days_of_run = [day for _, day in run]
        yield Window(days_of_run[0], days_of_run[-1] + ONE_DAY)


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(h|ms|m|s|us|µs|ns)"
_DURATION = re.compile(f"(?:{_PART})+")
SHORTEST, LONGEST = timedelta(seconds=1), timedelta(days=3660)
YEARS = range(1900, 2301)  # what both engines hold; the last is only ever an exclusive end
_OTHER_YEAR = f"its year is not one of {YEARS[0]} to {YEARS[-1]}"


def parse_duration(text: str) -> timedelta:
    """A duration as Go writes it: `24h`, `1h30m`, `90m`, `1.5h`.

    Raises:
        Refused: it is none, or not between `SHORTEST` and `LONGEST`.
    """
    parts = re.findall(_PART, text) if _DURATION.fullmatch(text) else []
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not SHORTEST.total_seconds() <= seconds <= LONGEST.total_seconds():
        raise Refused(
            "Not a duration",
            where=repr(text[:80]),
            why="expected such as 24h, 90m or 1h30m, from a second to ten years",
            next_step="correct it",
        )
    return timedelta(seconds=seconds)


def parse_day(text: str) -> date:
    """A partition key such as `2026-01-15`.

    Raises:
        Refused: it is none, or of a year that the engines can't hold; or written in another form of ISO 8601, which is
            no partition key (`20260115`, `2026-W03-4`).
    """
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise _not_a_day(text, str(error)) from None
    if str(day) != text:
        raise _not_a_day(text, "expected YYYY-MM-DD")
    if day.year not in YEARS:
        raise _not_a_day(text, _OTHER_YEAR)
    return day


def _not_a_day(text: str, why: str) -> Refused:
    return Refused("Not a day", where=repr(text[:80]), why=why, next_step="write it as 2026-01-15")


def rfc3339(moment: datetime) -> str:
    """An aware time as `2026-01-15T00:00:00Z`, with microseconds only where there are any."""
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone is ambiguous: {moment!r}")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """An aware UTC time from RFC 3339 text.

    Raises:
        Refused: the text is no RFC 3339 time, has no zone, or is of a year that the engines can't hold.
    """
    try:
        moment = datetime.fromisoformat(text)
        utc = moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # the latter: year 1 or 9999, moved out of range by its zone
        raise _not_rfc3339(text, str(error)) from None
    if moment.tzinfo is None or "T" not in text.upper():
        raise _not_rfc3339(text, "date, time and zone are all needed")
    if utc.year not in YEARS:
        raise _not_rfc3339(text, _OTHER_YEAR)
    return utc


def _not_rfc3339(text: str, why: str) -> Refused:
    return Refused("Not an RFC 3339 time", where=repr(text), why=why, next_step="write it as 2026-01-15T00:00:00Z")
