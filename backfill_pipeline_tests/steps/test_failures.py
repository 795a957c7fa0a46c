"""Jobs that fail and profiles without an execution: said in words, counted as they are, mended by a rerun."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from backfill_pipeline.clients.launcher import JobHandle, JobState, JobStatus
from backfill_pipeline.clients.local_jobs import LocalJobs
from backfill_pipeline.domain.causes import Cause
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.failures import diagnose, diagnose_error
from backfill_pipeline.domain.plans import LABEL, Claim, Launch
from backfill_pipeline.steps import delete, follow, inspect, launch, record
from backfill_pipeline.steps.holding import holding
from backfill_pipeline.steps.records import Followed, Recorded
from backfill_pipeline.steps.systems import Systems, job_environment
from backfill_pipeline.steps.watched import STUCK_SECONDS, Patience
from backfill_pipeline.stores import mutations
from backfill_pipeline_tests.faults.windows import CLUSTER, LEASE_SECONDS, Small


def run(systems: Systems, claim: Claim) -> tuple[Followed, Recorded]:
    seen = inspect.inspect(systems, claim, launched_by="test")
    deleted = delete.delete(systems, seen)
    launched = launch.launch(systems, seen)
    followed = follow.follow(systems, seen, launched)
    return followed, record.record(systems, seen, deleted, launched, followed)


def jobs_that(systems: Systems, folder: Path, script: str) -> Systems:
    """The same systems, whose Jobs run this shell script."""
    manifest = systems.cluster.launcher.manifests / "cron-batch-reindex-conversations.yaml"
    tree = yaml.safe_load(manifest.read_text())
    container = tree["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container |= {"command": ["sh", "-c", script], "args": []}
    (folder / "manifests").mkdir()
    (folder / "manifests" / manifest.name).write_text(yaml.safe_dump(tree))
    return replace(systems, launcher=LocalJobs(folder / "manifests", folder / "jobs", job_environment(systems.cluster)))


def test_k1_a_job_that_fails_is_told_with_its_log_and_its_days_are_red_until_a_rerun(
    small: Small, tmp_path: Path
) -> None:
    small.damaged()
    claim = small.claim()
    with small.live.systems(CLUSTER) as systems:
        followed, recorded = run(jobs_that(systems, tmp_path, "echo no such customer; exit 3"), claim)
        assert "failed: exit code 3" in followed.problems[0]
        assert "no such customer" in followed.problems[0]
        assert "no execution was started for profile default" in followed.problems[1]
        assert [d.verdict for d in recorded.verification.days] == ["DIFFERENT"] * 3
        assert "target 0" in recorded.verification.days[0].reasons[0]
        emptied = {e.attempt_id: e.window for e in systems.ledger.emptied()}
        assert emptied[claim.attempt_id] == claim.window, "deleted, and nothing brought the rows back"
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def test_what_a_job_prints_of_its_secrets_stands_in_the_audit_where_nobody_may_take_it_back(
    small: Small, tmp_path: Path
) -> None:
    small.damaged()
    claim, prints = small.claim(), "echo postgresql://app:S3CRET@db/x; echo PG_PASSWORD=S3CRET; echo bye; exit 3"
    with small.live.systems(CLUSTER) as systems:
        followed, _ = run(jobs_that(systems, tmp_path, prints), claim)
        with systems.ledger.transaction() as connection:
            rows = connection.execute(
                "SELECT a::text FROM audit.attempts a WHERE attempt_id = %s", [claim.attempt_id]
            ).fetchall()
    assert rows
    assert "bye" in followed.problems[0]
    assert "S3CRET" not in f"{followed} {rows}"
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def test_a_byte_that_a_job_prints_hides_its_exit_code_and_the_attempt_from_the_audit(
    small: Small, tmp_path: Path
) -> None:
    small.damaged()
    claim = small.claim()
    with small.live.systems(CLUSTER) as systems:
        followed, recorded = run(jobs_that(systems, tmp_path, r"printf 'bad\0byte\n'; exit 3"), claim)
        record_ = TypeAdapter(Followed).dump_json(followed).decode()
        systems.ledger.write_step(claim.run_id, "follow", record_)
        with systems.ledger.transaction() as connection:
            rows = connection.execute(
                "SELECT proof ->> 'problems' FROM audit.attempts WHERE attempt_id = %s", [claim.attempt_id]
            ).fetchall()
    assert re.search(r"failed: exit code 3; its log ends: bad byte$", followed.problems[0])
    assert (why := record.why_bad(recorded.verification, followed))
    assert "exit code 3" in why.evidence
    assert "exit code 3; its log ends: bad byte" in rows[0][0]
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


@pytest.mark.parametrize(
    "unwritten",
    [
        PipelineError("no such text", where="the ledger", why="-", next_step="-", code="22P05"),
        UnicodeEncodeError("utf-8", "", 0, 1, "no such text"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_days_stay_taken_as_the_audit_does_not_take_why_their_attempt_failed(
    small: Small, monkeypatch: pytest.MonkeyPatch, unwritten: Exception
) -> None:
    """Nor does Dagster take that it did not, as it is stored on the same server."""

    def refusing(*_: object) -> str:
        raise unwritten

    def log(line: str) -> None:
        lines.append(line)
        if line.startswith("the audit has no row"):
            raise OSError("Dagster's storage is away")

    claim, lines = small.claim(), list[str]()
    with small.live.systems(CLUSTER) as systems:
        seen = inspect.inspect(systems, claim, launched_by="test")
        monkeypatch.setattr(systems.ledger, "audit", refusing)
        with (
            pytest.raises(PipelineError, match="the Job was refused"),
            holding(replace(systems, log=log), seen.attempt, "delete", "test"),
        ):
            raise PipelineError("the Job was refused", where="-", why="-", next_step="-")
        probe = small.claim()
        systems.ledger.release(probe.attempt_id, systems.ledger.take(probe))
        assert claim.attempt_id not in {a.attempt_id for a in systems.ledger.unended(small.claim())}
    assert [line for line in lines if line.startswith(f"the audit has no row of {seen.attempt}: ")]


def test_a_profile_without_an_execution_is_named_though_its_job_succeeded(small: Small) -> None:
    small.damaged()
    claim = replace(small.claim(), profiles=("default", "support"))
    with small.live.systems(CLUSTER) as systems:
        followed, recorded = run(systems, claim)
        # What nobody saw may have been started: the next run looks again.
        assert [a.attempt_id for a in systems.ledger.unended(small.claim())] == [claim.attempt_id]
    (problem,) = followed.problems
    assert problem.startswith("no execution was started for profile support, as far as ")
    assert [e.profile for e in followed.executions] == ["default"]
    small.assert_right(recorded)


def test_k4_executions_are_found_by_their_input_where_the_jobs_log_is_gone(small: Small, tmp_path: Path) -> None:
    small.damaged()
    with small.live.systems(CLUSTER) as systems:
        silent = replace(systems, launcher=Silent(systems))
        followed, recorded = run(silent, small.claim())
    assert followed.problems == ()
    assert [e.state for e in followed.executions] == ["COMPLETED"]
    small.assert_right(recorded)


@pytest.mark.parametrize(("script", "problems"), [(None, 0), ("exit 3", 2)])
def test_where_logs_are_not_to_be_read_none_is(small: Small, tmp_path: Path, script: str | None, problems: int) -> None:
    small.damaged()
    with small.live.systems(CLUSTER) as systems:
        given = jobs_that(systems, tmp_path, script) if script else systems
        followed, recorded = run(replace(given, launcher=Unreadable(given), reads_logs=False), small.claim())
    assert len(followed.problems) == problems
    assert all("its log was not read" in p for p in followed.problems[:1])
    assert len(followed.executions) == (0 if script else 1)
    small.assert_right(small.run(small.claim(), tmp_path / "again") if script else recorded)


def test_a_job_that_cant_start_is_given_up_by_name_long_before_its_deadline(small: Small, tmp_path: Path) -> None:
    small.damaged()
    with small.live.systems(CLUSTER) as systems:
        launcher = Stuck(tmp_path, tmp_path / "jobs", {})
        stuck = replace(systems, launcher=launcher, clock=lambda: time.monotonic() * 60)
        followed, recorded = run(stuck, small.claim())
    assert re.search(r"can't start: ErrImagePull.*it was ended", followed.problems[0])
    assert diagnose(followed.problems).cause is Cause.IMAGE_PULL
    assert [d.verdict for d in recorded.verification.days] == ["DIFFERENT"] * 3
    assert launcher.status("any").state is JobState.GONE
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


class Stuck(LocalJobs):
    """Jobs whose image is not there."""

    ended = False

    def check(self, launch: Launch) -> None:
        """That it can't be pulled is seen in its pod."""

    def ensure(self, launch: Launch) -> JobHandle:
        return JobHandle(launch.job_name)

    def status(self, name: str) -> JobStatus:
        if self.ended:
            return JobStatus(JobState.GONE)
        return JobStatus(JobState.PENDING, reason="ErrImagePull (no such image)", is_stuck=True)

    def resume(self, name: str) -> None:
        """A cluster tries again by itself."""

    def cancel(self, name: str, *, deadline_seconds: float = 15) -> None:
        self.ended = True


def test_a_stuck_job_that_could_not_be_ended_does_not_count_as_ended_as_it_would_begin_once_it_can(
    small: Small, tmp_path: Path
) -> None:
    claim = small.claim()
    with small.live.systems(CLUSTER) as systems:
        launcher = Unending(tmp_path, tmp_path / "jobs", {})
        followed, _ = run(replace(systems, launcher=launcher, clock=lambda: time.monotonic() * 60), claim)
        assert "it may go on until the next run ends it" in followed.problems[0]
        assert [a.attempt_id for a in systems.ledger.unended(small.claim())] == [claim.attempt_id]
        small.assert_right(small.run(small.claim(), tmp_path / "again"))
        assert systems.ledger.unended(small.claim()) == ()


class Unending(Stuck):
    """They can't be ended either."""

    def cancel(self, name: str, *, deadline_seconds: float = 15) -> None:
        raise PipelineError("It is still there", where=name, why="-", next_step="wait", kind=Kind.RETRY)


def test_patience_begins_anew_when_a_job_was_not_stuck_in_between() -> None:
    stuck, waits = (JobStatus(JobState.PENDING, is_stuck=s) for s in (True, False))
    patience, end = Patience(), STUCK_SECONDS
    looks = [(stuck, 0), (stuck, end - 1), (waits, end), (stuck, end + 1), (stuck, 2 * end), (stuck, 2 * end + 1)]
    assert [patience.is_over(job, at) for job, at in looks] == [False] * 5 + [True]


class Silent(LocalJobs):
    """Jobs whose log rotated away."""

    def __init__(self, systems: Systems) -> None:
        assert isinstance(systems.launcher, LocalJobs)
        vars(self).update(vars(systems.launcher))

    def log(self, name: str) -> Iterator[str]:
        return iter(())


class Unreadable(Silent):
    """Jobs whose log the account may not read."""

    def log(self, name: str) -> Iterator[str]:
        raise AssertionError("nobody wanted to read it")


class Told(Silent):
    """Jobs of a cluster where no pod starts: what it says of them, in turn; the last goes on."""

    def __init__(self, systems: Systems, *statuses: JobStatus) -> None:
        super().__init__(systems)
        self._statuses = list(statuses)

    def ensure(self, launch: Launch) -> JobHandle:
        return JobHandle(launch.job_name)

    def resume(self, name: str) -> None:
        """Nobody can."""

    def status(self, name: str) -> JobStatus:
        return self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]


PULLS = JobStatus(JobState.PENDING, reason='ImagePullBackOff (Back-off pulling image "absent:1")')
RUNS = JobStatus(JobState.RUNNING)
LATE = JobStatus(JobState.FAILED, reason="DeadlineExceeded (Job was active longer than specified deadline)")


NO_ROOM = JobStatus(JobState.PENDING, reason="Unschedulable (0/3 nodes are available: 3 Insufficient memory.)")
LOST = JobStatus(JobState.GONE)


def test_a_job_that_finds_no_room_for_hours_says_so_in_the_runs_log_once_and_not_at_its_end(
    small: Small, tmp_path: Path
) -> None:
    small.damaged()
    waits = (NO_ROOM, NO_ROOM, NO_ROOM, PULLS, PULLS, RUNS, LOST)
    with small.live.systems(CLUSTER) as systems:
        small.live.lines.clear()
        run(replace(systems, launcher=Told(systems, *waits)), small.claim())
    told = [line.split(" has not begun: ")[1] for line in small.live.lines if " has not begun: " in line]
    assert told == [NO_ROOM.reason, PULLS.reason]
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


@pytest.mark.parametrize(
    ("statuses", "cause"), [((PULLS, PULLS, LATE), Cause.IMAGE_PULL), ((PULLS, RUNS, LATE), Cause.DEADLINE)]
)
def test_k1_a_job_that_never_ran_is_told_by_what_it_waited_for_and_one_that_ran_is_not(
    small: Small, tmp_path: Path, statuses: tuple[JobStatus, ...], cause: Cause
) -> None:
    small.damaged()
    with small.live.systems(CLUSTER) as systems:
        followed, _ = run(replace(systems, launcher=Told(systems, *statuses)), small.claim())
    assert diagnose(followed.problems).cause is cause
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def test_k1_a_job_that_still_waits_at_the_deadline_is_told_by_what_it_waits_for(small: Small, tmp_path: Path) -> None:
    small.damaged()
    with small.live.systems(CLUSTER) as systems:
        impatient = systems.limits.model_copy(update={"follow_deadline_seconds": 1})
        stuck = replace(systems, limits=impatient, launcher=Told(systems, PULLS))
        with pytest.raises(PipelineError, match="not over at its deadline") as caught:
            run(stuck, small.claim())
    assert diagnose_error(caught.value).cause is Cause.IMAGE_PULL
    time.sleep(LEASE_SECONDS + 0.2)
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def test_d15_days_whose_delete_found_no_room_are_not_told_as_emptied_with_all_their_rows_there(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutations, "MAX_WAITING", 0)
    monkeypatch.setattr(mutations, "wait_for_room", partial(mutations.wait_for_room, deadline_seconds=0))
    claim = small.claim()
    with small.live.systems(CLUSTER) as systems:
        seen = inspect.inspect(systems, claim, launched_by="test")
        with pytest.raises(PipelineError, match="none was added"):
            delete.delete(systems, seen)
        assert [e for e in systems.ledger.emptied() if e.attempt_id == claim.attempt_id] == []


def test_k2_a_job_of_that_name_that_is_not_ours_is_not_adopted(small: Small) -> None:
    with small.live.systems(CLUSTER) as systems:
        claim = small.claim()
        seen = inspect.inspect(systems, claim, launched_by="test")
        foreign = replace(seen.plan.launches[0], labels={f"{LABEL}/attempt": "somebody"}, env={})
        systems.launcher.ensure(foreign)
        with pytest.raises(Refused, match="is not ours"):
            launch.launch(systems, seen)
        systems.launcher.cancel(foreign.job_name)
        systems.ledger.mark_ended(seen.attempt)
