"""How far a transfer is, in a form that goes through Temporal's heartbeats and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backfill_pipeline.domain.windows import parse_rfc3339, rfc3339


@dataclass(frozen=True)
class Cursor:
    """Everything before it is durable in ClickHouse.

    since: where the catch-up pass begins; drawn by the first attempt and kept by its retries, which do not read again
        what that attempt had read.
    total, done: ids of the window, None while they are still being counted, and those loaded.
    start: first instant of the day in work; the end of the range: the catch-up pass.
    after: what has an id of that day up to this one is loaded; None: none of them.
    """

    since: datetime
    total: int | None
    start: datetime
    after: str | None = None
    done: int = 0

    def as_details(self) -> dict[str, Any]:
        return {
            "Since": rfc3339(self.since),
            "Total": self.total,
            "Start": rfc3339(self.start),
            "After": self.after,
            "Done": self.done,
        }


def cursor_from(details: Mapping[str, Any] | None) -> Cursor | None:
    """The cursor of an earlier attempt's heartbeat details; None where there is none (a worker that is not ours)."""
    found = (details or {}).get("Cursor")
    if not isinstance(found, Mapping):
        return None
    since, start, total = parse_rfc3339(found["Since"]), parse_rfc3339(found["Start"]), found["Total"]
    return Cursor(since, None if total is None else int(total), start, found["After"], int(found["Done"]))
