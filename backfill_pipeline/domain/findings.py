"""What further checks find on a day: sentences, with how many rows each is about. No finding is a pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

NAMED = 5  # agents or ids that a finding names


@dataclass(frozen=True)
class Finding:
    """rows: how many of them; sample: some of their ids, for whoever looks further."""

    what: str
    rows: int
    sample: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.rows:,} {self.what}" + (f" (for example {', '.join(self.sample)})" if self.sample else "")


Findings = Mapping[date, Sequence[Finding]]
Active = Mapping[tuple[str, date], int]
"""(agent, day) -> conversations that ended then."""


def judge_active_days(days: Sequence[date], source: Active, target: Active) -> Findings:
    """Agents with an active day too many in the target, or one too few; each is named with its days."""
    return {d: _of_day(d, source, target) for d in days}


def _of_day(day: date, source: Active, target: Active) -> list[Finding]:
    there = {side: {a for (a, d) in sums if d == day} for side, sums in (("source", source), ("target", target))}
    both = (
        ("agents are active in ClickHouse and not in PostgreSQL", there["target"] - there["source"]),
        ("agents are active in PostgreSQL and not in ClickHouse", there["source"] - there["target"]),
    )
    return [Finding(what, len(a), tuple(_named(x) for x in sorted(a)[:NAMED])) for what, a in both if a]


def _named(agent: str) -> str:
    return agent or "no agent"
