"""Giving days back to the retries: the sensor launches them at its next tick, a window per customer at a time."""

import getpass
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from uuid import uuid4

from backfill_pipeline.config import Config
from backfill_pipeline.domain.retries import DayState, Ended, Of, asked_again, fold
from backfill_pipeline.stores.failed_days import read_failed_days, write_failed_days
from backfill_pipeline.stores.ledger import Ledger

Days = Mapping[Of, Sequence[date]]


def failed_days(
    ledger: Ledger, wanted: Iterable[Of], days: Iterable[date] = (), *, cancelled: bool = False
) -> dict[Of, list[date]]:
    """Days of these assets that failed or were given up, those of them that are named if any are.

    Args:
        cancelled: also days whose run was cancelled by hand.
    """
    of_these, named = set(wanted), set(days)
    kinds = {Ended.FAILED, Ended.CANCELLED} if cancelled else {Ended.FAILED}
    found: dict[Of, list[date]] = {}
    for (of, day), state in sorted(read_failed_days(ledger).items()):
        if of in of_these and state.last.ended in kinds and (not named or day in named):
            found.setdefault(of, []).append(day)
    return found


def ask_again(ledger: Ledger, config: Config, days: Days, *, job_days: int | None = None) -> str:
    """Write down that these days are asked for; attempts are counted anew. Returns the request's id."""
    known, request, now = read_failed_days(ledger), f"asked-{uuid4()}", datetime.now(UTC)
    asked = [
        asked_again(of, those, request, now, job_days=job_days or _size(known, config, of, those), by=getpass.getuser())
        for of, those in days.items()
    ]
    write_failed_days(ledger, fold(known, asked).values())
    return request


def _size(known: Mapping[tuple[Of, date], DayState], config: Config, of: Of, days: Sequence[date]) -> int:
    """As small as the last try of any of them; a day that never failed has its customer's window."""
    tried = [state.last.job_days for d in days if (state := known.get((of, d)))]
    return min(tried, default=config.cluster(of.cluster).customer(of.customer).window_days)
