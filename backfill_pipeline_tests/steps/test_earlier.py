"""What is asked about what a dead attempt left, how often, and where."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backfill_pipeline.clients.temporal import WorkflowState, WorkflowStatus
from backfill_pipeline.config.reach import Launcher
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.plans import Attempt
from backfill_pipeline.steps import inspect
from backfill_pipeline.steps.dry_run import Before, foresee
from backfill_pipeline.steps.earlier import end_earlier_attempts
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline_tests.faults.windows import CLUSTER, Small
from backfill_pipeline_tests.steps.test_cancel import launched_by
from backfill_pipeline_tests.steps.test_failures import jobs_that
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
        ledger=asked,
        launcher=asked,
        temporal=asked,
        log=asked.nothing,
        clock=lambda: 0.0,
        sleep=asked.nothing,
        cluster=SimpleNamespace(launcher=Launcher()),
    )
    end_earlier_attempts(systems, MONTH)
    assert asked.searches == ["of the attempt", "open"]


def test_d16_a_job_that_was_made_in_another_place_does_not_pass_for_gone_and_write_beside_the_next_run(
    small: Small, tmp_path: Path
) -> None:
    dead = small.claim()
    with small.live.systems(CLUSTER) as systems:
        sleeping = jobs_that(systems, tmp_path, "sleep 60")
        seen, launched = launched_by(sleeping, dead)
        systems.ledger.release(dead.attempt_id, seen.attempt.fence)
        moved = elsewhere(systems, tmp_path / "other")
        with pytest.raises(Refused, match=r"jobs_at = NULL WHERE attempt_id IN") as caught:
            inspect.inspect(moved, small.claim(), launched_by="test")
        assert launched.job_name in caught.value.why
        assert str(systems.cluster.launcher.jobs) in caught.value.why
        before = Before(unended=systems.ledger.unended(small.claim()))
        assert caught.value.why in foresee(moved, small.claim(), before).reasons
        assert [a.attempt_id for a in systems.ledger.unended(small.claim())] == [dead.attempt_id]
        end_earlier_attempts(sleeping, small.claim())
        assert sleeping.launcher.status(launched.job_name).state.is_over
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def test_an_attempt_that_is_known_to_have_ended_keeps_nobody_from_changing_the_launcher(
    small: Small, tmp_path: Path
) -> None:
    small.assert_right(small.run(small.claim(), tmp_path / "done"))
    with small.live.systems(CLUSTER) as systems:
        moved = elsewhere(systems, tmp_path / "other")
        seen = inspect.inspect(moved, small.claim(), launched_by="test")
        assert seen.attempt.jobs_at == f"local, folder {tmp_path / 'other'}"
        systems.ledger.mark_ended(seen.attempt)
        systems.ledger.release(seen.attempt.attempt_id, seen.attempt.fence)


def elsewhere(systems: Systems, folder: Path) -> Systems:
    """The same systems after somebody has changed where the launcher makes its Jobs."""
    launcher = systems.cluster.launcher.model_copy(update={"jobs": folder})
    return replace(systems, cluster=systems.cluster.model_copy(update={"launcher": launcher}))
