"""A run that is cancelled (Ctrl-C) ends what it started, frees its days at once, and leaves them named as emptied."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from uuid import uuid4

import pytest

from backfill_pipeline.clients.launcher import JobHandle, JobState, JobStatus
from backfill_pipeline.domain.contracts import Execution
from backfill_pipeline.domain.deletes import Delete
from backfill_pipeline.domain.plans import Attempt, Claim, Launch
from backfill_pipeline.stack.state import last_state
from backfill_pipeline.steps import delete, follow, inspect, launch
from backfill_pipeline.steps.records import Inspection, Launched
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.stores import mutations
from backfill_pipeline.stores.clickhouse import ShardStore
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline_tests.clients.workflows import Started, an_input
from backfill_pipeline_tests.faults import driver
from backfill_pipeline_tests.faults.windows import CLUSTER, CUSTOMER, DEADLINE_SECONDS, THREE_DAYS, Small
from backfill_pipeline_tests.standstill import standing_still
from backfill_pipeline_tests.steps.test_failures import Silent, jobs_that
from backfill_pipeline_tests.worker.servers import wait_until


@pytest.fixture
def started(small: Small) -> Iterator[Started]:
    address = small.live.config.cluster(CLUSTER).temporal
    assert address
    workflows = Started(address)
    yield workflows
    workflows.close()


UNDER_WAY = "SELECT count() FROM system.mutations WHERE NOT is_done AND database = currentDatabase()"


def worker(small: Small) -> int:
    state = last_state(small.live.state.folder)
    assert state
    return state.pids[f"worker-{CLUSTER}"]


def interrupted(process: BaseProcess) -> None:
    """Ctrl-C, and the end of the process."""
    assert process.pid
    os.kill(process.pid, signal.SIGINT)
    process.join(DEADLINE_SECONDS)
    assert process.exitcode not in (0, None)


def assert_emptied_and_free(systems: Systems, claim: Claim) -> None:
    theirs = [e for e in systems.ledger.emptied() if (e.cluster, e.customer) == (CLUSTER, CUSTOMER)]
    assert [e.attempt_id for e in theirs] == [claim.attempt_id]
    with systems.ledger.transaction() as connection:
        held = connection.execute("SELECT 1 FROM ledger.leases WHERE customer = %s", [CUSTOMER]).fetchall()
        audited = connection.execute(
            "SELECT outcome FROM audit.attempts WHERE attempt_id = %s", [claim.attempt_id]
        ).fetchall()
    assert held == []
    assert audited == [("cancelled",)]


def test_d8_a_cancel_in_mid_delete_kills_the_mutation_or_it_would_go_on_by_itself(small: Small, tmp_path: Path) -> None:
    small.damaged()
    claim = small.claim()
    with small.live.systems(CLUSTER) as systems:
        shard = systems.clickhouse.shards[0]
        shard.client().command("SYSTEM STOP MERGES conversation")
        process = driver.start(small.live.config, claim, tmp_path)
        wait_until(lambda: shard.scalar(f"{UNDER_WAY} AND table = 'conversation'") > 0, "the delete")
        interrupted(process)
        shard.client().command("SYSTEM START MERGES conversation")
        assert shard.scalar(UNDER_WAY) == 0
        assert shard.scalar(f"SELECT count() FROM conversation WHERE customer_id = '{CUSTOMER}'") > 0
        assert_emptied_and_free(systems, claim)
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def test_d8_a_delete_that_was_on_its_way_when_the_run_was_cancelled_is_killed_when_it_comes(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.damaged()
    claim, send = small.claim(), mutations._send
    late: list[threading.Timer] = []

    def cut_off(shard: ShardStore, statement: Delete, method: str) -> None:
        late.append(threading.Timer(1, send, [shard, statement, method]))
        late[0].start()
        raise KeyboardInterrupt

    monkeypatch.setattr(mutations, "_send", cut_off)
    with small.live.systems(CLUSTER) as systems:
        shard = systems.clickhouse.shards[0]
        inspection = inspect.inspect(systems, claim, launched_by="test")
        shard.client().command("SYSTEM STOP MERGES score")
        with pytest.raises(KeyboardInterrupt):
            delete.delete(systems, inspection)
        late[0].join()
        shard.client().command("SYSTEM START MERGES score")
        assert shard.scalar(UNDER_WAY) == 0
        assert shard.scalar(f"SELECT count() FROM score WHERE customer_id = '{CUSTOMER}'") > 0
        assert_emptied_and_free(systems, claim)
    monkeypatch.undo()
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def test_d15_a_cancel_while_a_workflow_runs_ends_job_and_workflow_and_names_the_emptied_days(
    small: Small, tmp_path: Path
) -> None:
    small.damaged()
    claim, pid = small.claim(), worker(small)
    with small.live.systems(CLUSTER) as systems, standing_still(pid):
        process = driver.start(small.live.config, claim, tmp_path)
        wait_until(lambda: bool(running(systems)) and (tmp_path / "launch").exists(), "an open workflow")
        threading.Timer(1, os.kill, [pid, signal.SIGCONT]).start()
        [ours] = running(systems)
        interrupted(process)
        assert systems.temporal.status(ours).state == "CANCELED"  # by its id: the list lags behind
        wait_until(lambda: running(systems) == [], "a list without it")
        [found] = systems.temporal.of_attempt("ReindexConversations", CUSTOMER, THREE_DAYS, claim.attempt_id)
        assert (found.workflow_id, found.state) == (ours, "CANCELED")
        assert_emptied_and_free(systems, claim)
        assert systems.ledger.unended(small.claim()) == ()
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


@pytest.mark.parametrize("reads_logs", [True, False], ids=["silent log", "log not read"])
def test_d15_a_cancel_ends_a_workflow_that_no_log_told_of_or_it_would_write_on_and_count_as_ended(
    small: Small, tmp_path: Path, reads_logs: bool
) -> None:
    small.damaged()
    pid = worker(small)
    with small.live.systems(CLUSTER) as opened, standing_still(pid):
        seen, launched = launched_by(opened, small.claim())
        systems = replace(opened, launcher=NotOver(opened), reads_logs=reads_logs)
        wait_until(lambda: bool(running(systems)), "an open workflow")
        [ours] = running(systems)
        threading.Timer(1, os.kill, [pid, signal.SIGCONT]).start()
        with pytest.raises(KeyboardInterrupt):
            follow.follow(replace(systems, sleep=interrupting()), seen, launched)
        assert systems.temporal.status(ours).state == "CANCELED"
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def test_t3_a_line_of_a_log_has_another_customers_workflow_followed_and_cancelled(
    small: Small, started: Started, tmp_path: Path
) -> None:
    """As one did whose CronJob somebody had changed."""
    claim = small.claim()
    foreign = started.start("ReindexConversations", an_input("globex", "retail", THREE_DAYS, str(uuid4())))
    forged = [
        Execution(*who, "j", foreign, CLUSTER).log_line() for who in [("globex", "retail"), (CUSTOMER, "retail")]
    ] + [Execution(CUSTOMER, "default", "j", foreign, "south").log_line()]
    with small.live.systems(CLUSTER) as opened:
        systems = jobs_that(opened, tmp_path, "\n".join([*(f"echo '{line}'" for line in forged), "sleep 60"]))
        seen, launched = launched_by(systems, claim)
        small.live.lines.clear()
        sleep = interrupting(after=partial(any_told, small.live.lines, time.monotonic() + 20))
        with pytest.raises(KeyboardInterrupt):
            follow.follow(replace(systems, sleep=sleep), seen, launched)
        assert systems.temporal.status(foreign).state == "RUNNING"
        [told] = [line for line in small.live.lines if "started for somebody else" in line]
        assert told.count(foreign) == len(forged)
        small.assert_right(small.run(small.claim(), tmp_path / "again"))


def any_told(lines: list[str], end: float) -> bool:
    return time.monotonic() > end or any("started for somebody else" in line for line in lines)


class NotOver(Silent):
    """Jobs without a log that seem to be at work."""

    def status(self, name: str) -> JobStatus:
        return JobStatus(JobState.RUNNING)


def test_d15_a_cancelled_job_that_may_have_started_workflows_unseen_does_not_count_as_ended_until_the_next_run_looked(
    small: Small, tmp_path: Path
) -> None:
    claim = small.claim()
    with small.live.systems(CLUSTER) as opened:
        systems = jobs_that(opened, tmp_path, "sleep 60")
        seen, launched = launched_by(systems, claim)
        with pytest.raises(KeyboardInterrupt):
            follow.follow(replace(systems, sleep=interrupting()), seen, launched)
        assert [a.attempt_id for a in systems.ledger.unended(small.claim())] == [claim.attempt_id]
        small.assert_right(small.run(small.claim(), tmp_path / "again"))
        assert systems.ledger.unended(small.claim()) == ()
    assert any("names one for profile default" in line for line in small.live.lines)


class CutOff(Silent):
    """A launcher whose n-th Job is made, and then Ctrl-C comes before anybody hears of it."""

    def __init__(self, systems: Systems, nth: int = 1) -> None:
        super().__init__(systems)
        self.made, self._nth = list[str](), nth

    def ensure(self, launch: Launch) -> JobHandle:
        handle = super().ensure(launch)
        self.made.append(handle.name)
        if len(self.made) == self._nth:
            raise KeyboardInterrupt
        return handle


class Interrupted(Ledger):
    """Ctrl-C comes while the lease of a step begins to be kept, or while it ceases to be."""

    def __init__(self, systems: Systems, at: str) -> None:
        vars(self).update(vars(systems.ledger))
        self._at = at

    @contextmanager
    def kept(self, attempt: Attempt) -> Iterator[None]:
        if self._at == "begin":
            raise KeyboardInterrupt
        with super().kept(attempt):
            yield
        raise KeyboardInterrupt


def test_k2_a_run_that_is_cancelled_while_its_job_is_made_leaves_none_at_work_of_which_nobody_knows(
    small: Small, tmp_path: Path
) -> None:
    claim = small.claim()
    with small.live.systems(CLUSTER) as opened:
        sleeping = jobs_that(opened, tmp_path, "sleep 60")
        launcher = CutOff(sleeping)
        systems = replace(sleeping, launcher=launcher)
        seen = deleted_by(systems, claim)
        small.live.lines.clear()
        with pytest.raises(KeyboardInterrupt):
            launch.launch(systems, seen)
        assert_ended_and_told(systems, launcher.made[0], small.live.lines)
        assert_emptied_and_free(systems, claim)
        assert [a.attempt_id for a in systems.ledger.unended(small.claim())] == [claim.attempt_id]
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def test_k2_a_run_that_is_cancelled_while_its_next_parts_job_is_made_leaves_none_at_work(
    small: Small, tmp_path: Path
) -> None:
    small.damaged()
    claim = small.claim()
    with small.live.systems(CLUSTER) as opened:
        launcher = CutOff(opened, 2)
        systems = replace(opened, launcher=launcher)
        seen, launched = launched_by(systems, claim, job_days=1)
        small.live.lines.clear()
        with pytest.raises(KeyboardInterrupt):
            follow.follow(systems, seen, launched)
        assert launcher.made == [p.job_name for p in seen.plan.launches[:2]]
        assert_ended_and_told(systems, launcher.made[1], small.live.lines)
        assert [a.attempt_id for a in systems.ledger.unended(small.claim())] == [claim.attempt_id]
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def followed(systems: Systems, cut_off: Systems, seen: Inspection) -> None:
    follow.follow(cut_off, seen, launch.launch(systems, seen))


def only_launched(_: Systems, cut_off: Systems, seen: Inspection) -> None:
    launch.launch(cut_off, seen)


@pytest.mark.parametrize(("steps", "at"), [(only_launched, "end"), (followed, "begin")])
def test_k2_a_run_that_is_cancelled_on_the_way_from_its_job_to_the_first_look_leaves_none_at_work(
    small: Small, tmp_path: Path, steps: Callable[[Systems, Systems, Inspection], None], at: str
) -> None:
    with small.live.systems(CLUSTER) as opened:
        systems = jobs_that(opened, tmp_path, "sleep 60")
        seen = deleted_by(systems, small.claim())
        small.live.lines.clear()
        with pytest.raises(KeyboardInterrupt):
            steps(systems, replace(systems, ledger=Interrupted(systems, at)), seen)
        assert_ended_and_told(systems, seen.plan.launches[0].job_name, small.live.lines)
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def test_k2_a_run_that_ends_between_two_steps_has_said_that_its_job_goes_on(small: Small, tmp_path: Path) -> None:
    with small.live.systems(CLUSTER) as systems:
        small.live.lines.clear()
        seen, launched = launched_by(jobs_that(systems, tmp_path, "sleep 60"), small.claim())
        systems.ledger.release(seen.attempt.attempt_id, seen.attempt.fence)
    told = [line for line in small.live.lines if "the next run on these days ends the Job" in line]
    assert [launched.job_name in line for line in told] == [True]
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def assert_ended_and_told(systems: Systems, job_name: str, lines: list[str]) -> None:
    assert systems.launcher.status(job_name).state.is_over
    assert any(line.startswith(f"cancelled: ending {job_name}") for line in lines)
    assert any("may go on until the next run ends them" in line and job_name in line for line in lines)


def deleted_by(systems: Systems, claim: Claim, job_days: int | None = None) -> Inspection:
    seen = inspect.inspect(systems, claim, launched_by="test", job_days=job_days)
    delete.delete(systems, seen)
    return seen


def launched_by(systems: Systems, claim: Claim, job_days: int | None = None) -> tuple[Inspection, Launched]:
    seen = deleted_by(systems, claim, job_days)
    return seen, launch.launch(systems, seen)


def interrupting(after: Callable[[], bool] = lambda: True) -> Callable[[float], None]:
    """A sleep in whose first call Ctrl-C comes, or in the first one after this is true."""
    first = iter([True])

    def sleep(seconds: float) -> None:
        if after() and next(first, False):
            raise KeyboardInterrupt
        time.sleep(seconds)

    return sleep


def running(systems: Systems) -> list[str]:
    return [f.workflow_id for f in systems.temporal.open_on("ReindexConversations", CUSTOMER, THREE_DAYS)]
