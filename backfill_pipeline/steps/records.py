"""What each step proved. Small, typed, written to PostgreSQL as JSON before the next step begins."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from backfill_pipeline.domain.coverage import Coverage
from backfill_pipeline.domain.plans import Attempt, Plan
from backfill_pipeline.domain.verdicts import DayVerdict, Doubled, TableSum
from backfill_pipeline.domain.windows import Window

DayTables = Mapping[date, Mapping[str, TableSum]]


@dataclass(frozen=True)
class Inspection:
    """Counts before anything was touched, and the plan. approved: what was asked for by name."""

    attempt: Attempt
    plan: Plan
    launched_by: str
    approved: tuple[str, ...]
    source: DayTables
    target: DayTables
    seconds: float


@dataclass(frozen=True)
class DeletedTable:
    shard: int
    table: str
    mutation_id: str | None
    rows: int
    inactive_replicas: tuple[str, ...]


@dataclass(frozen=True)
class Deletion:
    """Every delete is done and 0 survivors were counted; rows: what each predicate matched before.

    waited: seconds before the first statement, for the cluster to be well; not among `seconds`.
    """

    deleted: tuple[DeletedTable, ...]
    seconds: float
    waited: float = 0.0

    @property
    def rows(self) -> int:
        return sum(d.rows for d in self.deleted)


@dataclass(frozen=True)
class Launched:
    job_name: str
    adopted: bool
    log: str
    seconds: float


@dataclass(frozen=True)
class ExecutionEnd:
    workflow_id: str
    profile: str
    state: str
    reindexed: int | None
    failure: str


@dataclass(frozen=True)
class PartEnd:
    """How one Job and its executions ended. problems: what went wrong, in words; the verdict comes from counting."""

    window: Window
    job_name: str
    log: str
    executions: tuple[ExecutionEnd, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Followed:
    """The parts of the window that were started, in their order; after one that nothing can follow there is none."""

    parts: tuple[PartEnd, ...]
    seconds: float

    @property
    def executions(self) -> tuple[ExecutionEnd, ...]:
        return tuple(e for part in self.parts for e in part.executions)

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(p for part in self.parts for p in part.problems)

    def part_of(self, day: date) -> PartEnd | None:
        """None where its Job was not started, because an earlier one had failed."""
        return next((p for p in self.parts if day in p.window.days), None)


@dataclass(frozen=True)
class Verification:
    """Both sides counted again, a verdict for every day, and the rows that no configured dataset takes."""

    days: tuple[DayVerdict, ...]
    coverage: Coverage

    @property
    def bad(self) -> tuple[DayVerdict, ...]:
        return tuple(d for d in self.days if not d.verdict.is_good)

    @property
    def lost(self) -> tuple[date, ...]:
        """Days whose rows are not there, or were not counted."""
        return tuple(d.day for d in self.days if d.lacks_rows)


@dataclass(frozen=True)
class Recorded:
    verification: Verification
    doubled: tuple[Doubled, ...]
    audit_hash: str
    seconds: float
