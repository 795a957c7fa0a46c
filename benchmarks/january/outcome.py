"""The outcome as a table, as JSON, and as a yes or no."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class OfCluster:
    customers: int
    days_proved: int
    days: int
    runs: int
    workflows: int
    peak_runs: int
    peak_workflows: int
    limit: int

    @property
    def is_right(self) -> bool:
        return self.days_proved == self.days and max(self.peak_runs, self.peak_workflows) <= self.limit


@dataclass(frozen=True)
class Outcome:
    """All that was measured. hands: days that wait for a person, or were not done in time."""

    date: str
    command: str
    machine: str
    clusters: Mapping[str, OfCluster]
    seconds: Mapping[str, float]
    source_rows: int
    jobs: int
    failed_runs: int
    retries_by_cause: Mapping[str, int]
    hands: int
    doubled: int
    gigabytes: float
    load: float
    ways: Mapping[str, Sequence[str]]
    faults: Mapping[str, str]
    kills: Sequence[str] = ()
    wrong: Sequence[str] = field(default_factory=tuple)

    @property
    def is_right(self) -> bool:
        return not (self.hands or self.doubled or self.wrong) and all(c.is_right for c in self.clusters.values())

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def show(outcome: Outcome, console: Console) -> None:
    console.print(_clusters(outcome))
    for name, value in _figures(outcome):
        console.print(f"{name:<24} {value}", highlight=False, soft_wrap=True)
    for who, steps in outcome.ways.items():
        console.print(f"\n{who}: {outcome.faults[who]}", highlight=False, soft_wrap=True)
        for step in steps:
            console.print(f"  {step}", highlight=False, soft_wrap=True)
    for reason in outcome.wrong:
        console.print(f"WRONG: {reason}", highlight=False, soft_wrap=True)


def _clusters(outcome: Outcome) -> Table:
    names = ("customers", "days proved equal", "runs", "workflows", "runs at once", "workflows at once", "limit")
    table = Table("cluster", title=f"January, {outcome.date}")
    for name in names:
        table.add_column(name, justify="right")
    for name, c in outcome.clusters.items():
        proved = f"{c.days_proved:,} of {c.days:,}"
        numbers = (c.customers, proved, c.runs, c.workflows, c.peak_runs, c.peak_workflows, c.limit)
        table.add_row(name, *map(str, numbers))
    return table


def _figures(outcome: Outcome) -> list[tuple[str, str]]:
    return [
        *((f"seconds, {name}", f"{seconds:,.0f}") for name, seconds in outcome.seconds.items()),
        ("rows of the source", f"{outcome.source_rows:,}"),
        ("Jobs", f"{outcome.jobs:,}"),
        ("runs that failed", str(outcome.failed_runs)),
        ("retries by cause", ", ".join(f"{c}: {n}" for c, n in outcome.retries_by_cause.items()) or "none"),
        ("hands needed", str(outcome.hands)),
        ("ids with two rows", str(outcome.doubled)),
        ("memory at its peak", f"{outcome.gigabytes:.1f} GiB"),
        ("load at the end", f"{outcome.load:.1f}"),
        *(("kill", kill) for kill in outcome.kills),
    ]
