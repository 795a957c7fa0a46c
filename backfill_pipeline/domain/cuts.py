"""How many days one Job of a window takes: a window may be cut into several Jobs in sequence. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from backfill_pipeline.domain.windows import Window

SIZES = (10, 5, 1)  # days of one Job, where the whole window is too much


@dataclass(frozen=True)
class Tried:
    """How an earlier attempt with Jobs of this size went. passed: all its days were right; otherwise its size was too much."""

    job_days: int
    passed: bool


def job_days(
    window: Window, rows: Mapping[date, int], *, most_rows: int, history: Iterable[Tried] = (), asked: int | None = None
) -> int:
    """Days of one Job: the most that neither the budget of rows nor what happened before forbids.

    Args:
        rows: of the source, per day; a single day is never cut.
        history: earlier attempts of this customer and dataset, oldest first.
        asked: by a person or by the retry of a failed window; it then decides with the budget, not the history.
    """
    longest = len(window.days)
    wanted = asked or ceiling(history) or longest
    sizes = [min(wanted, longest), *(s for s in SIZES if s < wanted)]
    return next((s for s in sizes if _heaviest(window, rows, s) <= most_rows), 1)


def smaller(days: int) -> int:
    return next((size for size in SIZES if size < days), 1)


def ceiling(history: Iterable[Tried]) -> int | None:
    """The size that went through after a larger one had failed; None where nothing ever was too much."""
    found: int | None = None
    for tried in history:
        if not tried.passed:
            found = min(smaller(tried.job_days), found or tried.job_days)
        elif found:
            found = max(found, tried.job_days)
    return found


def _heaviest(window: Window, rows: Mapping[date, int], size: int) -> int:
    return max(sum(rows.get(d, 0) for d in part.days) for part in window.split(size))
