"""Rows of a window's ids that its own delete would leave wrong: written when the id was of another day or dataset.

A delete of the window alone leaves them, and where it takes the newest version of an id away it even uncovers an older
one (trap D7). Taken are the rows of the window's ids, but for those that are right by the source: the window does not
write them again, and must not lose them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

MAX_TEXT = 150_000  # characters of ids in one statement: servers parse up to 262,144, and a mutation is kept in Keeper
_PER_DAY = 24  # of punctuation and the day itself


@dataclass(frozen=True)
class Stray:
    """An id of the window, and the days on which the target holds rows of it that are wrong there."""

    profile: str
    id: str
    days: tuple[date, ...]

    @property
    def size(self) -> int:
        """Characters that naming it takes."""
        return len(self.days) * (len(self.profile) + len(self.id) + _PER_DAY)


def too_many(table: str, strays: Sequence[Stray]) -> str | None:
    """Why these can't be named in one statement, and what makes them fewer; None: they can."""
    if sum(s.size for s in strays) <= MAX_TEXT:
        return None
    days = sorted({d for s in strays for d in s.days})
    return (
        f"{table}: {len(strays):,} ids of the window also have rows on other days, or of a dataset that shares the table, "
        f"on {len(days)} days from {days[0]} to {days[-1]}, too many for one delete: reindex those first, or take fewer days "
        "at once"
    )
