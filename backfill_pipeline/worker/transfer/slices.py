"""A transfer's request and the slices that it is cut into. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta


@dataclass(frozen=True)
class Request:
    """What is transferred: the conversations of one profile that started in `[start, end)` (aware, UTC)."""

    customer: str
    profile: str
    start: datetime
    end: datetime

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
    """Conversations that started in `[start, end)` with `after < conversation_id <= upto`; None: open on that side.

    since: only those of which something changed from then on; None: all.
    conversations: how many there were when it was planned.
    """

    start: datetime
    end: datetime
    after: str | None = None
    upto: str | None = None
    since: datetime | None = None
    conversations: int = 0


def tiling(whole: Slice, ends: list[tuple[str, int]]) -> tuple[Slice, ...]:
    """Slices that tile `whole` without gap or overlap, from each one's last planned id and count.

    The first and last keep the whole's own ends, so that an id that appeared after the planning still lies in one.
    """
    if not ends:
        return ()
    uppers = [*(upto for upto, _ in ends[:-1]), whole.upto]
    lowers = [whole.after, *uppers[:-1]]
    return tuple(
        Slice(whole.start, whole.end, after, upto, whole.since, count)
        for after, upto, (_, count) in zip(lowers, uppers, ends, strict=True)
    )
