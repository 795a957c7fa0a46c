"""A window cut into several Jobs in sequence: one delete, one proof, and a failed part that costs only its own days."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from backfill_pipeline.clients.launcher import JobHandle
from backfill_pipeline.clients.local_jobs import LocalJobs
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.plans import Claim, Launch
from backfill_pipeline.steps import delete, follow, inspect, launch, record
from backfill_pipeline.steps.records import Followed, Recorded
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline_tests.faults.driver import KillPoint
from backfill_pipeline_tests.faults.test_left_at_work import in_jobs_of_a_day
from backfill_pipeline_tests.faults.windows import CLUSTER, LEASE_SECONDS, Small
from backfill_pipeline_tests.steps.test_failures import jobs_that

TASK = f"exec {sys.executable} -m backfill_pipeline.worker.tasks.batch_reindex_conversations"
ON_DAY_2 = 'if [ "$REINDEX_START_TIME" = 2026-01-02T00:00:00Z ]; then echo "{said}"; exit 3; fi; {task}'


def run(systems: Systems, claim: Claim, job_days: int | None = None) -> tuple[Followed, Recorded]:
    seen = inspect.inspect(systems, claim, launched_by="test", job_days=job_days)
    deleted = delete.delete(systems, seen)
    launched = launch.launch(systems, seen)
    followed = follow.follow(systems, seen, launched)
    return followed, record.record(systems, seen, deleted, launched, followed)


def verdicts(recorded: Recorded) -> list[str]:
    return [str(d.verdict) for d in recorded.verification.days]


def test_a_cut_window_is_as_right_as_a_whole_one(small: Small) -> None:
    small.damaged()
    claim = small.claim()
    with small.live.systems(CLUSTER) as systems:
        followed, recorded = run(systems, claim, job_days=2)
    assert [str(p.window) for p in followed.parts] == ["2026-01-01..2026-01-02", "2026-01-03"]
    assert [e.state for e in followed.executions] == ["COMPLETED"] * 2
    assert len({p.job_name for p in followed.parts}) == small.jobs_per_attempt()[claim.attempt_id] == 2
    small.assert_right(recorded)


def test_a_window_above_the_budget_of_rows_is_cut_by_itself(small: Small) -> None:
    small.damaged()
    with small.live.systems(CLUSTER) as systems:
        limits = systems.limits.model_copy(update={"max_job_rows": 1})
        followed, recorded = run(replace(systems, limits=limits), small.claim())
    assert len(followed.parts) == 3
    small.assert_right(recorded)


def test_a_part_that_failed_by_chance_costs_only_its_own_day(small: Small, tmp_path: Path) -> None:
    small.damaged()
    script = ON_DAY_2.format(said="deadlock detected", task=TASK)
    with small.live.systems(CLUSTER) as systems:
        followed, recorded = run(jobs_that(systems, tmp_path, script), small.claim(), job_days=1)
    assert verdicts(recorded) == ["MATCH", "DIFFERENT", "MATCH"]
    assert [bool(p.problems) for p in followed.parts] == [False, True, False]
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def test_after_what_only_a_person_can_mend_no_further_job_is_started(small: Small, tmp_path: Path) -> None:
    small.damaged()
    script = ON_DAY_2.format(said="column x.y does not exist [42703]", task=TASK)
    with small.live.systems(CLUSTER) as systems:
        followed, recorded = run(jobs_that(systems, tmp_path, script), small.claim(), job_days=1)
    assert len(followed.parts) == 2
    assert followed.part_of(recorded.verification.days[2].day) is None
    assert verdicts(recorded) == ["MATCH", "DIFFERENT", "DIFFERENT"]
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def test_after_a_part_that_was_too_large_no_other_of_its_size_is_tried(small: Small, tmp_path: Path) -> None:
    """With ten tries each, a month in Jobs of ten days would fail three times before it is made smaller."""
    small.damaged()
    with small.live.systems(CLUSTER) as systems:
        script = "echo deadlock detected; exit 3"
        followed, recorded = run(jobs_that(systems, tmp_path, script), small.claim(), job_days=2)
    assert len(followed.parts) == 1
    assert verdicts(recorded) == ["DIFFERENT"] * 3
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def test_the_next_months_jobs_are_not_as_large_as_what_failed(small: Small, tmp_path: Path) -> None:
    small.damaged()
    with small.live.systems(CLUSTER) as systems:
        run(jobs_that(systems, tmp_path, "echo deadlock detected; exit 3"), small.claim(), job_days=3)
        followed, recorded = run(systems, small.claim())
        assert len(followed.parts) == 3
        small.assert_right(recorded)
        run(systems, small.claim(), job_days=3)  # somebody trusts the size again, and it goes through
        small.damaged()
        followed, recorded = run(systems, small.claim())
    assert len(followed.parts) == 1
    small.assert_right(recorded)


class AwayOnce(LocalJobs):
    """A cluster whose API is away when the second Job is to be made."""

    def __init__(self, systems: Systems) -> None:
        assert isinstance(systems.launcher, LocalJobs)
        vars(self).update(vars(systems.launcher))
        self.asked = 0

    def ensure(self, launch: Launch) -> JobHandle:
        self.asked += 1
        if self.asked == 2:
            raise PipelineError("Away", where="here", why="-", next_step="wait", kind=Kind.UNREACHABLE)
        return super().ensure(launch)


def test_a_cluster_that_is_away_between_two_parts_is_asked_again(small: Small) -> None:
    small.damaged()
    with small.live.systems(CLUSTER) as systems:
        _, recorded = run(replace(systems, launcher=AwayOnce(systems)), small.claim(), job_days=1)
    small.assert_right(recorded)


@pytest.mark.parametrize("point", [KillPoint("launcher.ensure", 2), KillPoint("temporal.status", 4)], ids=str)
def test_no_part_of_a_dead_run_goes_on_beside_the_next_one(small: Small, tmp_path: Path, point: KillPoint) -> None:
    cut = in_jobs_of_a_day(small)
    cut.damaged()
    dead, heir = cut.killed(tmp_path / "dead", point), cut.claim()
    time.sleep(LEASE_SECONDS + 0.2)
    cut.assert_right(cut.run(heir, tmp_path / "heir"))
    jobs = cut.jobs_per_attempt()
    assert jobs[dead.attempt_id] in (1, 2)
    assert jobs[heir.attempt_id] == 3
    with cut.live.systems(CLUSTER) as systems:
        assert systems.ledger.unended(cut.claim()) == ()
