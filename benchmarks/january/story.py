"""Who takes part: clusters and customers in the seeds' spread, the large ones among them, and what happens to those."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count

from backfill_pipeline.domain.causes import Cause
from backfill_pipeline.domain.windows import ONE_DAY, Window
from backfill_pipeline.stack.demo_data import FIRST_DAY

SPREAD = {"amber": 86, "birch": 80, "cedar": 49, "dune": 28, "elm": 6, "fjord": 5, "grove": 4, "heath": 2}
DAYS_OF_JANUARY = 31
# Conversations of the month. An ordinary customer's are the seeds' 70.5 M scorecards over 95 customers, 1.3 to a conversation.
ORDINARY = 570_000


class Kind(StrEnum):
    STALL = "stall"
    DEADLOCK = "deadlock"


@dataclass(frozen=True)
class Fault:
    """What strikes a customer's transfers for as long as their range has more days than this."""

    kind: Kind
    above_days: int

    @property
    def cause(self) -> Cause:
        return Cause.HEARTBEAT_TIMEOUT if self.kind is Kind.STALL else Cause.DEADLOCK


@dataclass(frozen=True)
class Large:
    """One of the four that failed. cluster: in the order of their sizes."""

    customer: str
    cluster: int
    conversations: int
    fault: Fault


STALLS, DEADLOCKS = Fault(Kind.STALL, 10), Fault(Kind.DEADLOCK, 1)
LARGE = (
    Large("globex", 0, 1_300_000, STALLS),
    Large("initech", 0, 578_000, STALLS),
    Large("hooli", 1, 4_200_000, DEADLOCKS),
    Large("umbrella", 1, 2_600_000, DEADLOCKS),
)
LEAST_FOR_TWO = 10  # customers of a cluster on which two are struck; on a smaller one, one


@dataclass(frozen=True)
class Struck:
    cluster: str
    customer: str
    fault: Fault


@dataclass(frozen=True)
class Story:
    """customers: cluster -> ids."""

    customers: Mapping[str, Sequence[str]]
    days: int
    scale: float

    @property
    def window(self) -> Window:
        return Window(FIRST_DAY, FIRST_DAY + ONE_DAY * self.days)

    @property
    def struck(self) -> tuple[Struck, ...]:
        return tuple(
            Struck(cluster, one.customer, one.fault)
            for n, (cluster, ids) in enumerate(self.customers.items())
            for one in LARGE
            if one.cluster == n and one.customer in ids
        )

    @property
    def everybody(self) -> tuple[tuple[str, str], ...]:
        return tuple((cluster, customer) for cluster, ids in self.customers.items() for customer in ids)

    def conversations_a_day(self) -> dict[str, float]:
        """Of the month's at this scale; the data has a floor of its own, `chats.LEAST`."""
        month = {one.customer: one.conversations for one in LARGE}
        return {c: month.get(c, ORDINARY) * self.scale / DAYS_OF_JANUARY for _, c in self.everybody}


def story(clusters: int, customers: int, days: int, scale: float) -> Story:
    names = list(SPREAD)[:clusters]
    numbers = count(1)
    shares = _shared([SPREAD[n] for n in names], customers)
    ids = {name: list(_ids(n, share, numbers)) for n, (name, share) in enumerate(zip(names, shares, strict=True))}
    return Story(ids, days, scale)


def _ids(cluster: int, share: int, numbers: Iterator[int]) -> Iterator[str]:
    large = [one.customer for one in LARGE if one.cluster == cluster][: 2 if share >= LEAST_FOR_TWO else 1]
    yield from large
    yield from (f"customer-{next(numbers):03d}" for _ in range(share - len(large)))


def _shared(weights: Sequence[int], total: int) -> list[int]:
    """The total in these proportions, at least two each; what rounding leaves over goes to the largest."""
    shares = [max(2, total * w // sum(weights)) for w in weights]
    shares[0] += total - sum(shares)
    if shares[0] < 2:
        raise ValueError(f"{total} customers are too few for {len(weights)} clusters")
    return shares
