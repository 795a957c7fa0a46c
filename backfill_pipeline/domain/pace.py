"""How fast windows went, and how long others will take by that. Pure; what has no history is unknown, never quick."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from backfill_pipeline.domain.retries import Of


@dataclass(frozen=True)
class Pace:
    """Of some windows: the rows that they left, the seconds in which these were written, and what else they took."""

    windows: int = 0
    rows: int = 0
    writing_seconds: float = 0.0
    other_seconds: float = 0.0

    def __add__(self, other: "Pace") -> "Pace":
        return Pace(
            self.windows + other.windows,
            self.rows + other.rows,
            self.writing_seconds + other.writing_seconds,
            self.other_seconds + other.other_seconds,
        )

    @property
    def rows_per_second(self) -> float | None:
        return self.rows / self.writing_seconds if self.rows and self.writing_seconds > 0 else None

    def seconds_of(self, rows: float, windows: int) -> float | None:
        """For so many windows, one after the other; None where nothing like it was ever written."""
        if not self.windows:
            return None
        if rows and not self.rows_per_second:
            return None
        return windows * self.other_seconds / self.windows + (rows / (self.rows_per_second or 1.0))


def pace_of(paces: Mapping[Of, Pace], of: Of) -> Pace:
    """The customer's own; else what others of its cluster and dataset had."""
    return paces.get(of) or sum(
        (p for o, p in paces.items() if (o.cluster, o.dataset) == (of.cluster, of.dataset)), Pace()
    )


def side_by_side(parts: Iterable[tuple[str, float | None]], max_runs: int) -> float | None:
    """Seconds until all is over: so many runs at once on the cluster, and one at a time of a customer.

    Args:
        parts: (customer, seconds); one that is unknown makes the whole unknown.
    """
    sums: dict[str, float] = {}
    for customer, seconds in parts:
        if seconds is None:
            return None
        sums[customer] = sums.get(customer, 0.0) + seconds
    return max(sum(sums.values()) / max_runs, *sums.values()) if sums else 0.0
