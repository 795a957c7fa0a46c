"""A past in the real ledger, of customers that no other test knows: windows that were done, failed, emptied, or run now."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from uuid import uuid4

from backfill_pipeline.config import Cluster, Config, Customer
from backfill_pipeline.domain.causes import Cause, Remedy
from backfill_pipeline.domain.plans import Attempt, Claim
from backfill_pipeline.domain.retries import DayState, Ended, Of, Outcome
from backfill_pipeline.domain.status import Status
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.operations.select import select
from backfill_pipeline.operations.status import Asked, status
from backfill_pipeline.stores.failed_days import write_failed_days
from backfill_pipeline.stores.ledger import Ledger

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
JANUARY = (date(2026, 1, 1), date(2026, 1, 31))
ROWS = 10  # of a table and day
_numbers = count()


def window(first: int, last: int) -> Window:
    """Days of January 2026, both inclusive."""
    return Window(date(2026, 1, first), date(2026, 1, last) + timedelta(days=1))


@dataclass
class Past:
    """One customer of a cluster, and what was done to its conversations."""

    ledger: Ledger
    cluster: str = "north"
    dataset: str = "conversations"
    customer: str = field(default_factory=lambda: f"past-{next(_numbers)}")

    @property
    def of(self) -> Of:
        return Of(self.cluster, self.customer, self.dataset)

    def running(self, days: Window) -> Attempt:
        """Lease and marker, as inspect takes them."""
        claim = Claim(str(uuid4()), str(uuid4()), *self._who(), self.dataset, days)
        fence = self.ledger.take(claim)
        return self.ledger.draw(claim, fence, server_now=NOW, skew=timedelta(0), scale=6)

    def _who(self) -> tuple[str, str, tuple[str, ...]]:
        return self.cluster, self.customer, ("default",)

    def emptied(self, days: Window) -> Attempt:
        attempt = self.running(days)
        self.ledger.mark_delete_submitted(attempt)
        self.ledger.release(attempt.attempt_id, attempt.fence)
        return attempt

    def recorded(
        self, days: Window, bad: Iterable[date] = (), *, follow: float = 2.0, lost: Iterable[date] = ()
    ) -> Attempt:
        """Delete, launch and a verdict per day. lost: bad days whose rows are not there."""
        attempt, wrong = self.running(days), set(bad)
        self.ledger.mark_delete_submitted(attempt)
        proof = {
            "days": {str(d): {"verdict": "DIFFERENT" if d in wrong else "MATCH", "reasons": []} for d in days.days},
            "rows": {str(d): {"conversation": ROWS, "score": 2 * ROWS} for d in days.days},
            "seconds": {"inspect": 0.5, "waited": 100.0, "delete": 0.5, "follow": follow},
        }
        self.ledger.audit(attempt, "partly" if wrong else "done", "test", proof)
        self.ledger.close(attempt, left_empty=tuple(lost))
        self.ledger.release(attempt.attempt_id, attempt.fence)
        return attempt

    def failed(self, days: Window, *, ended: Ended = Ended.FAILED, at: datetime = NOW, **how: object) -> None:
        fields: Mapping[str, object] = {"cause": Cause.DEADLOCK, "remedy": Remedy.AGAIN, **how}
        last = Outcome(self.of, days.days, "run", ended, at, **fields)  # type: ignore[arg-type]
        write_failed_days(self.ledger, [DayState(d, at, last) for d in days.days])


def config_of(config: Config, *customers: tuple[str, str], datasets: Iterable[str] = ("conversations",)) -> Config:
    """The stack's configuration with these (cluster, customer) alone."""
    clusters = [_with(c, [u for name, u in customers if name == c.name]) for c in config.clusters]
    return config.model_copy(update={"clusters": [c for c in clusters if c.customers], "datasets": list(datasets)})


def _with(cluster: Cluster, customers: list[str]) -> Cluster:
    return cluster.model_copy(update={"customers": [Customer(id=c) for c in customers], "first_day": JANUARY[0]})


def look(config: Config, *, dagster: str | None = None, customers_named: bool = True) -> Status:
    """January, on the first of February."""
    wanted = Asked(config, select(config), dagster, *JANUARY, customers_named=customers_named)
    return status(wanted, now=lambda: NOW + timedelta(seconds=30))
