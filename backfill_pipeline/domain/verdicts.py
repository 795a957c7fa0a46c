"""Do both sides agree on a day? Gathered sums in, a verdict with every reason out. Unknown is not zero."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date
from enum import StrEnum

LEAST_SHARE = 0.5  # of the source's rows; a day whose target has fewer is not there again


class Verdict(StrEnum):
    MATCH = "MATCH"
    DIFFERENT = "DIFFERENT"
    EMPTY_BOTH = "EMPTY_BOTH"
    ERROR = "ERROR"
    UNCOVERED = "UNCOVERED"

    @property
    def is_good(self) -> bool:
        return self in (Verdict.MATCH, Verdict.EMPTY_BOTH)


@dataclass(frozen=True)
class TableSum:
    """Rows of one table on one day, and the sum of their 64-bit fingerprints (ids and content).

    surplus: rows whose id has another one on the same day and shard, where such were looked for.
    """

    rows: int = 0
    fingerprint: int = 0
    surplus: int = 0

    def __add__(self, other: "TableSum") -> "TableSum":
        pairs = zip(astuple(self), astuple(other), strict=True)
        return TableSum(*(mine + theirs for mine, theirs in pairs))


DaySums = Mapping[str, TableSum]  # table -> sum
Sums = Mapping[date, DaySums]  # a counted day without rows has zero sums; a day that is absent was not counted


def by_profile(
    counted: Mapping[str, Mapping[tuple[str, date], TableSum]], profiles: Iterable[str], days: Sequence[date]
) -> Mapping[str, Sums]:
    """Sums per profile, day and table of what was counted per table; what has no rows was counted too, and is zero."""
    return {p: {d: {t: found.get((p, d), TableSum()) for t, found in counted.items()} for d in days} for p in profiles}


def together(by_profile: Mapping[str, Sums]) -> Sums:
    """The sums of all profiles; a day or table that one of them did not count is not counted at all."""
    sides = list(by_profile.values())
    days = set.intersection(*(set(s) for s in sides)) if sides else set()
    return {day: _added([side[day] for side in sides]) for day in sorted(days)}


def _added(days: Sequence[DaySums]) -> DaySums:
    tables = set.intersection(*(set(d) for d in days))
    return {t: sum((d[t] for d in days), TableSum()) for t in sorted(tables)}


@dataclass(frozen=True)
class DayVerdict:
    """The verdict of a day with every reason; None for a side means that it could not be counted."""

    day: date
    verdict: Verdict
    reasons: tuple[str, ...]
    source: DaySums | None
    target: DaySums | None

    @property
    def lacks_rows(self) -> bool:
        """Whether a table has not even half of the source's rows; unknown is not zero, but not that they are there either."""
        if self.verdict.is_good:
            return False
        if not self.source or not self.target:
            return True
        held = {t: s.rows for t, s in self.target.items()}
        return any(held.get(t, 0) < s.rows * LEAST_SHARE for t, s in self.source.items())


def judge(day: date, source: DaySums | None, target: DaySums | None) -> DayVerdict:
    """Compare both sides of a day, table by table."""
    if not source or not target:  # a side without a single table was not counted either
        side = "target" if source else "source"
        return DayVerdict(day, Verdict.ERROR, (f"the {side} was not counted",), source, target)
    reasons = tuple(r for t in sorted({*source, *target}) for r in _table_reasons(t, source.get(t), target.get(t)))
    if any("was not counted" in r for r in reasons):
        return DayVerdict(day, Verdict.ERROR, reasons, source, target)
    if reasons:
        return DayVerdict(day, Verdict.DIFFERENT, reasons, source, target)
    is_empty = not any(s.rows for s in source.values())
    return DayVerdict(day, Verdict.EMPTY_BOTH if is_empty else Verdict.MATCH, (), source, target)


def _table_reasons(table: str, source: TableSum | None, target: TableSum | None) -> tuple[str, ...]:
    if source is None or target is None:
        return (f"{table}: the {'source' if source is None else 'target'} was not counted",)
    if source.rows != target.rows:
        return (f"{table}: source {source.rows:,}, target {target.rows:,} ({target.rows - source.rows:+,})",)
    if source.fingerprint != target.fingerprint:
        return (f"{table}: {source.rows:,} rows on both sides, but other ids or contents",)
    return ()


def judge_days(days: Iterable[date], source: Sums | None, target: Sums | None) -> tuple[DayVerdict, ...]:
    return tuple(judge(d, (source or {}).get(d), (target or {}).get(d)) for d in days)


@dataclass(frozen=True)
class Doubled:
    """Ids of one table that have more than one row after FINAL and of which one lies on `day`.

    also_on: the other days on which they lie; a reindex of `day` alone can't mend those.
    across_shards: how many of them lie on more than one shard.
    """

    day: date
    table: str
    ids: int
    across_shards: int
    also_on: tuple[date, ...]
    sample: tuple[str, ...]

    def __str__(self) -> str:
        on = ", ".join(str(d) for d in self.also_on if d != self.day)
        parts = [f"{self.table}: {self.ids:,} ids have more than one row"]
        parts += [f"{self.across_shards:,} on more than one shard"] if self.across_shards else []
        parts += (
            [f"also on {on}: reindex those days too, unless the source has them on each of these days"] if on else []
        )
        return "; ".join(parts) + f" (for example {', '.join(self.sample)})"
