"""Claims of made-up customers that no other test uses, and the attempts drawn for them."""

from datetime import UTC, date, datetime, timedelta
from itertools import count
from uuid import uuid4

from backfill_pipeline.domain.plans import Attempt, Claim
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.ledger import Ledger

NOW = datetime(2026, 2, 1, 12, 0, 0, 123456, UTC)
SKEW = timedelta(seconds=5)
_numbers = count()


def window(first: int, end: int) -> Window:
    """Days of January 2026: `window(1, 4)` is the 1st to the 3rd."""
    return Window(date(2026, 1, first), date(2026, 1, end))


def new_customer() -> str:
    return f"hooli-{next(_numbers)}"


def claim(customer: str, first: int = 1, end: int = 4, *, dataset: str = "conversations") -> Claim:
    """A new attempt of a new run at days of January."""
    return Claim(str(uuid4()), f"run-{next(_numbers)}", "north", customer, ("default",), dataset, window(first, end))


def draw(ledger: Ledger, wanted: Claim, now: datetime = NOW, *, scale: int = 6) -> Attempt:
    """Lease and marker, as inspect takes them."""
    return ledger.draw(wanted, ledger.take(wanted), server_now=now, skew=SKEW, scale=scale)


def emptied(ledger: Ledger, wanted: Claim) -> Attempt:
    """An attempt whose delete was submitted and whose lease is free again, as after a failure."""
    attempt = draw(ledger, wanted)
    ledger.mark_delete_submitted(attempt)
    ledger.release(attempt.attempt_id, attempt.fence)
    return attempt
