"""Rows of a window's ids that lie on other days: written when the id was still of another day, and in nobody's window now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

MAX_TEXT = 150_000  # characters of ids in one statement: servers parse up to 262,144, and a mutation is kept in Keeper


@dataclass(frozen=True)
class Stray:
    """An id that the source puts in the window, of which the target holds rows on these days outside it."""

    profile: str
    id: str
    days: tuple[date, ...]


def too_many(table: str, strays: Sequence[Stray]) -> str | None:
    """Why these can't be named in one statement, and what makes them fewer; None: they can."""
    if sum(len(s.id) + len(s.profile) for s in strays) <= MAX_TEXT:
        return None
    days = sorted({d for s in strays for d in s.days})
    return (
        f"{table}: {len(strays):,} ids of the window also have rows on {len(days)} other days, from {days[0]} to "
        f"{days[-1]}, too many for one delete: reindex those days first, or take fewer days at once"
    )
