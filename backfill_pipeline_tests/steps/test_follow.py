"""What a run makes of looks that tell it too little: of Temporal's late list, and of a Kubernetes that is away."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from backfill_pipeline.clients.launcher import JobHandle, JobState, JobStatus
from backfill_pipeline.clients.temporal import WorkflowState, WorkflowStatus
from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.plans import Attempt
from backfill_pipeline.steps import follow
from backfill_pipeline.steps.earlier import own_ids
from backfill_pipeline.steps.records import Followed, Launched
from backfill_pipeline.steps.watched import STUCK_SECONDS
from backfill_pipeline_tests.faults.windows import CLUSTER, Small
from backfill_pipeline_tests.steps.test_failures import Silent, run
from backfill_pipeline_tests.stores.claims import NOW, claim

T = TypeVar("T")
ATTEMPT = Attempt(**vars(claim("acme", 1, 3)), marker=NOW - timedelta(hours=1), fence=1)
CONVERSATIONS = DATASETS["conversations"].workflow
assert CONVERSATIONS
[OURS] = own_ids(CONVERSATIONS, ATTEMPT)

POLL_SECONDS = 10
AWAY = PipelineError("Kubernetes did not answer", where="api", why="-", next_step="wait", kind=Kind.UNREACHABLE)
AWAY_FOR_LONG = [AWAY] * (2 * STUCK_SECONDS // POLL_SECONDS)
PULLS = JobStatus(JobState.PENDING, reason="ErrImagePull (503 of the registry)", is_stuck=True)
DONE = JobStatus(JobState.SUCCEEDED, 0, "exit code 0")


@dataclass
class Site:
    """Systems whose Job tells what is given here, in turn (the last goes on), without a log; whose Temporal lists nothing.

    held: what the ledger says, in turn, when it is asked for the lease; the last goes on.
    log_reads: how often its log is read before Kubernetes is away.
    runs: how often it tells of the attempt's own execution that it runs, before it has completed; None, it has none.
    """

    job: list[JobStatus | PipelineError]
    runs: int | None = None
    made: list[str | PipelineError] = field(default_factory=lambda: ["made"])
    held: list[str | PipelineError] = field(default_factory=lambda: ["held"])
    attempt: Attempt = ATTEMPT
    reads_logs: bool = False
    log_reads: int = 0
    now: float = 0
    lines: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)  # attempts
    cancelled: list[str] = field(default_factory=list)  # Jobs
    names: list[str] = field(default_factory=list)  # of the Jobs that were made

    def follow(self) -> Followed:
        limits = SimpleNamespace(follow_deadline_seconds=3600, poll_seconds=POLL_SECONDS)
        systems: Any = SimpleNamespace(
            launcher=self, temporal=_Temporal(self), ledger=self, log=self.lines.append, sleep=self.sleep, clock=lambda: self.now,
            limits=limits, reads_logs=self.reads_logs,
        )  # fmt: skip
        plan = SimpleNamespace(
            launches=[SimpleNamespace(job_name=f"job-{n}") for n, _ in enumerate(self.attempt.parts)]
        )
        seen: Any = SimpleNamespace(attempt=self.attempt, launched_by="test", plan=plan)
        return follow.follow(systems, seen, Launched("job-0", False, "its log", 0))

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def status(self, _: str) -> JobStatus:
        return next_of(self.job)

    def ensure(self, planned: Any) -> JobHandle:
        next_of(self.made)
        self.names.append(planned.job_name)
        return JobHandle(planned.job_name)

    def where(self, name: str) -> str:
        return f"the log of {name}"

    def log(self, _: str) -> Iterator[str]:
        if self.log_reads == 0:
            raise AWAY
        self.log_reads -= 1
        return iter(())

    def log_error(self, name: str) -> None:
        """Nothing that does not pass."""

    def check_held(self, _: Attempt) -> None:
        next_of(self.held)

    def resume(self, _: str) -> None:
        """The cluster does."""

    def cancel(self, name: str, **_: float) -> None:
        self.cancelled.append(name)

    @contextmanager
    def kept(self, _: Attempt) -> Iterator[None]:
        yield

    def audit(self, *_: Any) -> None:
        """Nobody reads it."""

    release = audit

    def mark_ended(self, attempt: Attempt, **_: float) -> None:
        self.ended.append(attempt.attempt_id)


def next_of(told: list[T | PipelineError]) -> T:
    now = told.pop(0) if len(told) > 1 else told[0]
    if isinstance(now, PipelineError):
        raise now
    return now


class _Temporal:
    def __init__(self, site: Site) -> None:
        self._site = site

    def of_attempt(self, *_: Any, **__: Any) -> tuple[()]:
        return ()

    def status(self, workflow_id: str) -> WorkflowStatus:
        if workflow_id != OURS or self._site.runs is None:
            return WorkflowStatus(workflow_id, WorkflowState.UNKNOWN)
        self._site.runs -= 1
        return WorkflowStatus(workflow_id, WorkflowState.COMPLETED if self._site.runs < 0 else WorkflowState.RUNNING)


def test_k4_a_workflow_that_runs_is_not_told_as_never_started_where_no_log_is_read_and_the_list_is_late() -> None:
    site = Site([DONE], runs=20)
    followed = site.follow()
    assert [(e.workflow_id, e.state) for e in followed.executions] == [(OURS, WorkflowState.COMPLETED)]
    assert followed.problems == ()
    assert site.ended == [ATTEMPT.attempt_id]


def test_t3_an_attempt_does_not_count_as_ended_while_nobody_knows_what_its_job_has_started() -> None:
    """Of workers that are not ours no id is known, and their list may be late."""
    site = Site([DONE])
    assert "no execution was started for profile" in site.follow().problems[0]
    assert site.ended == []


def test_k4_an_execution_that_temporal_does_not_list_is_followed_to_its_end(small: Small) -> None:
    small.damaged()
    with small.live.systems(CLUSTER) as systems:
        late: Any = Unlisting(systems.temporal)
        followed, recorded = run(replace(systems, launcher=Silent(systems), temporal=late), small.claim())
        assert systems.ledger.unended(small.claim()) == ()
    assert [e.state for e in followed.executions] == ["COMPLETED"]
    small.assert_right(recorded)


class Unlisting:
    """Temporal whose list is late for longer than the test; the real one's lag can't be set."""

    def __init__(self, temporal: Any) -> None:
        self._temporal = temporal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._temporal, name)

    def of_attempt(self, *_: Any, **__: Any) -> tuple[()]:
        return ()


def test_k1_a_job_that_was_stuck_once_is_not_given_up_and_left_at_work_while_kubernetes_is_away() -> None:
    site = Site([PULLS, *AWAY_FOR_LONG, JobStatus(JobState.RUNNING), DONE], runs=0)
    followed = site.follow()
    assert followed.problems == ()
    assert site.cancelled == []


def test_a_job_that_is_stuck_before_and_after_kubernetes_was_away_is_given_up_and_ended() -> None:
    site = Site([PULLS, *AWAY_FOR_LONG, PULLS])
    assert "it can't start: ErrImagePull" in site.follow().problems[0]
    assert site.cancelled == ["job-0"]


def test_d16_no_further_job_is_made_beside_whoever_got_the_days_while_kubernetes_was_away() -> None:
    """The other run has deleted by then: what this Job would write under its lower marker, nothing takes away again."""
    lost = PipelineError("The lease was lost", where="ledger", why="-", next_step="rerun", kind=Kind.RETRY)
    site = Site([DONE], runs=0, attempt=replace(ATTEMPT, job_days=1), made=[AWAY, "made"], held=["held", lost])
    with pytest.raises(PipelineError, match="The lease was lost"):
        site.follow()
    assert site.names == []


def test_a_log_that_is_away_when_all_is_over_does_not_fail_a_window_whose_rows_are_there() -> None:
    failed = JobStatus(JobState.FAILED, 1, "exit code 1")
    site = Site([failed], attempt=replace(ATTEMPT, dataset="labels"))
    assert "its log was not read" in site.follow().problems[0]
    site.reads_logs, site.log_reads = True, 1
    assert "failed: exit code 1; its log could not be read" in site.follow().problems[0]


def test_k1_a_job_that_goes_on_after_its_run_has_failed_is_named() -> None:
    forbidden = PipelineError("Kubernetes forbids it", where="api", why="403", next_step="give the right")
    site = Site([JobStatus(JobState.RUNNING), forbidden], attempt=replace(ATTEMPT, dataset="labels"))
    with pytest.raises(PipelineError, match="forbids"):
        site.follow()
    assert [line for line in site.lines if line.startswith("Job job-0 or its workflows may go on until the next run")]
