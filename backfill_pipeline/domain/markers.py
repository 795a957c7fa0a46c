"""The marker of an attempt: the bound of its delete and the base of the row version that it writes.

Source: domain.md, "Row version and marker". A version column of scale 6 leaves room for 999 tries between two markers;
a coarser one has no room, so the try is not added and the delete waits for the next unit.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

MAX_SCALE = 6  # datetime has microseconds; ClickHouse's finer scales are cut to them
SPACING_UNITS = 1000


def unit(scale: int) -> timedelta:
    """Smallest step of a DateTime64(scale) column; scale 0 is DateTime."""
    return timedelta(microseconds=10 ** (MAX_SCALE - min(scale, MAX_SCALE)))


def truncated(moment: datetime, scale: int) -> datetime:
    micros = 10 ** (MAX_SCALE - min(scale, MAX_SCALE))
    since_epoch = int(moment.timestamp()) * 10**MAX_SCALE + moment.microsecond
    return moment - timedelta(microseconds=since_epoch % micros)


def spacing(scale: int) -> timedelta:
    return unit(scale) * (SPACING_UNITS if scale >= MAX_SCALE else 1)


def draw_marker(last: datetime | None, server_now: datetime, skew: timedelta, scale: int) -> datetime:
    """A marker above every earlier one of this customer and dataset, and below what live writers stamp now.

    Args:
        last: the last marker drawn, None for the first.
        server_now: ClickHouse's own clock (aware, UTC).
        skew: how far live writers' clocks may be behind it.
        scale: digits of the version column's fraction.
    """
    from_clock = truncated(server_now - skew, scale)
    return from_clock if last is None else max(truncated(last, scale) + spacing(scale), from_clock)


@dataclass(frozen=True)
class Future:
    """Versions above `above` are from the future: no live writer has stamped them, and no delete by marker reaches them.

    Live writers go on while a run counts and waits, so the bound is of the moment of each question.

    Args:
        ahead: how far above the server's clock a live writer's row may be when the server looks.
    """

    above: datetime
    ahead: timedelta

    def at(self, server_now: datetime) -> "Future":
        return replace(self, above=max(self.above, server_now + self.ahead))


def future_of(marker: datetime, skew: timedelta) -> Future:
    """As of the moment when the marker was drawn; never one of the marker's own rows."""
    ahead = skew + timedelta(seconds=1)
    return Future(marker + skew + ahead, ahead)


def row_version(marker: datetime, attempt: int, scale: int = MAX_SCALE) -> datetime:
    """`update_time` of what Temporal attempt `attempt` (from 1) writes: a retry outranks earlier tries."""
    if not 1 <= attempt < SPACING_UNITS:
        raise ValueError(f"Temporal attempt {attempt} is outside [1, {SPACING_UNITS})")
    return marker + unit(scale) * attempt if scale >= MAX_SCALE else marker
