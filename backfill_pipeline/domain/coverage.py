"""Which dataset each row of the source belongs to. What belongs to none, or to one that is not configured, is UNCOVERED."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from backfill_pipeline.domain.datasets import CONVERSATIONS, DATASETS

PROCESS_TYPE = 2  # of a template whose scorecards hang on no conversation


@dataclass(frozen=True)
class Group:
    """Scorecards of one template and day that belong to the same dataset, or to none for the same reason.

    day: the UTC day of their own time; None: they have no usable one.
    template_type: None where the template's revision is not there.
    belongs: a dataset's name, or the class of rows that fit no dataset.
    """

    day: date | None
    template_id: str
    template_type: int | None
    belongs: str
    scorecards: int

    @property
    def name(self) -> str:
        """The class of rows as people read it."""
        return f"scorecard of dataset {self.belongs}" if self.belongs in DATASETS else self.belongs

    @property
    def account(self) -> str:
        """Where it stands in the accounting. Type 2 with a conversation is loaded with it, and named for itself."""
        is_odd = self.belongs == CONVERSATIONS.name and self.template_type == PROCESS_TYPE
        return f"{self.belongs}, though of type {PROCESS_TYPE}" if is_odd else self.belongs

    def __str__(self) -> str:
        kind = "no revision" if self.template_type is None else f"type {self.template_type}"
        return f"template {self.template_id} ({kind}): {self.scorecards:,} of class '{self.name}'"


@dataclass(frozen=True)
class Coverage:
    """Rows of a customer's window by what handles them.

    dayless: conversations that belong to no day, by class. configured: the datasets that there are.
    """

    groups: tuple[Group, ...]
    dayless: Mapping[str, int]
    configured: tuple[str, ...]

    def of_day(self, day: date) -> tuple[Group, ...]:
        """The day's scorecards, and those that have no day and are named with each."""
        return tuple(g for g in self.groups if g.day in (day, None))

    def accounting(self, day: date) -> dict[str, int]:
        """All scorecards that are to be named with a day, by dataset, or by the class of those that fit none."""
        found: Counter[str] = Counter()
        for group in self.of_day(day):
            found[group.account] += group.scorecards
        return dict(found)

    def unhandled(self, day: date) -> tuple[Group, ...]:
        """Those of them that no configured dataset handles."""
        return tuple(g for g in self.of_day(day) if g.belongs not in self.configured)

    def uncovered(self, day: date) -> dict[str, int]:
        """Rows by class that are to be named with a day."""
        found: Counter[str] = Counter(self.dayless)
        for group in self.unhandled(day):
            found[group.name] += group.scorecards
        return dict(found)

    @property
    def rows(self) -> int:
        """All rows that no configured dataset handles."""
        unhandled = sum(g.scorecards for g in self.groups if g.belongs not in self.configured)
        return unhandled + sum(self.dayless.values())
