"""How often Temporal is asked about what a dead attempt left."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from backfill_pipeline.clients.temporal import WorkflowState, WorkflowStatus
from backfill_pipeline.domain.plans import Attempt
from backfill_pipeline.steps.earlier import end_earlier_attempts
from backfill_pipeline_tests.stores.claims import NOW, claim

MONTH = claim("acme", 1, 31)


class Asked:
    """A Temporal, a launcher and a ledger with nothing but the name of a dead attempt in them; keeps the searches."""

    def __init__(self, dead: Attempt) -> None:
        self.dead, self.searches = dead, list[str]()

    def unended(self, _: Any) -> tuple[Attempt, ...]:
        return (self.dead,)

    def status(self, workflow_id: str) -> WorkflowStatus:
        return WorkflowStatus(workflow_id, WorkflowState.UNKNOWN)

    def of_attempt(self, *_: Any, **__: Any) -> tuple[()]:
        self.searches.append("of the attempt")
        return ()

    def open_on(self, *_: Any) -> tuple[()]:
        self.searches.append("open")
        return ()

    def nothing(self, *_: Any, **__: Any) -> None:
        """Done."""

    cancel = audit = mark_ended = nothing


def test_a_busy_namespace_is_not_searched_anew_for_each_day_of_a_dead_attempt() -> None:
    dead = Attempt(**vars(replace(MONTH, attempt_id="dead")), marker=NOW - timedelta(hours=1), fence=1, job_days=1)
    assert len(dead.parts) == 30
    asked = Asked(dead)
    systems: Any = SimpleNamespace(
        ledger=asked, launcher=asked, temporal=asked, log=asked.nothing, clock=lambda: 0.0, sleep=asked.nothing
    )
    end_earlier_attempts(systems, MONTH)
    assert asked.searches == ["of the attempt", "open"]
