"""Giving days back to the retries: the sensor launches them at its next tick, a window per customer at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import uuid4

from backfill_pipeline.config import Config
from backfill_pipeline.domain.retries import DayState, Ended, Of, asked_again, fold
from backfill_pipeline.domain.windows import Window, windows_of
from backfill_pipeline.operations.launch import How
from backfill_pipeline.operations.survey import Days
from backfill_pipeline.stores.failed_days import read_failed_days, write_failed_days
from backfill_pipeline.stores.ledger import Ledger

Known = Mapping[tuple[Of, date], DayState]


def failed_days(
    ledger: Ledger, wanted: Iterable[Of], days: Iterable[date] = (), *, cancelled: bool = False
) -> dict[Of, list[date]]:
    """Days of these assets that failed or were given up, those of them that are named if any are.

    Args:
        cancelled: also days whose run was cancelled by hand.
    """
    kinds = {Ended.FAILED, Ended.CANCELLED} if cancelled else {Ended.FAILED}
    found: dict[Of, list[date]] = {}
    for (of, day), state in _known(ledger, wanted, days):
        if state.last.ended in kinds:
            found.setdefault(of, []).append(day)
    return found


@dataclass(frozen=True)
class NotTaken:
    """Days that `failed_days` leaves out. asked: those given back to the retries already; empty: cancelled ones without rows."""

    asked: int
    cancelled: int
    empty: int


def not_taken(ledger: Ledger, wanted: Iterable[Of], days: Iterable[date] = ()) -> NotTaken:
    """How many days of these assets, those of them that are named if any are, did not fail, and yet are not done."""
    known = [(at, state.last.ended) for at, state in _known(ledger, wanted, days)]
    cancelled = {at for at, ended in known if ended is Ended.CANCELLED}
    emptied = {(Of(e.cluster, e.customer, e.dataset), day) for e in ledger.emptied() for day in e.window.days}
    return NotTaken(sum(e is Ended.ASKED for _, e in known), len(cancelled), len(cancelled & emptied))


def _known(ledger: Ledger, wanted: Iterable[Of], days: Iterable[date]) -> Iterator[tuple[tuple[Of, date], DayState]]:
    of_these, named = set(wanted), set(days)
    for at, state in sorted(read_failed_days(ledger).items()):
        if at[0] in of_these and (not named or at[1] in named):
            yield at, state


def ask_again(ledger: Ledger, config: Config, days: Days, how: How) -> tuple[str, ...]:
    """Write down that these days are asked for; attempts are counted anew, and what was approved is asked anew.

    Returns the requests' ids, one for each run: no run has more days than a backfill would give it.
    """
    known, now = read_failed_days(ledger), datetime.now(UTC)
    asked = [
        asked_again(of, part.days, f"asked-{uuid4()}", now, job_days=how.job_days or size, by=how.by, kept=how.run_tags)
        for of, those in days.items()
        for part, size in _parts(known, config, of, those)
    ]
    write_failed_days(ledger, fold(known, asked).values())
    return tuple(a.run_id for a in asked)


def _parts(known: Known, config: Config, of: Of, days: Sequence[date]) -> Iterator[tuple[Window, int]]:
    """Each run's days, and days of its Jobs: as few as the last try of any of them, if there was one."""
    longest = config.cluster(of.cluster).customer(of.customer).window_days
    for part in (p for window in windows_of(days) for p in window.split(longest)):
        tried = [state.last.job_days for d in part.days if (state := known.get((of, d)))]
        yield part, min(tried, default=longest)
