"""What a dead or cancelled attempt left at work is over before the next one deletes."""

import asyncio
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow
from temporalio.client import Client

from backfill_pipeline.clients.temporal import Found, Temporal, WorkflowState
from backfill_pipeline.domain.contracts import ENV_CONVERSATIONS_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_SECONDS
from backfill_pipeline.domain.plans import Claim
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.steps import delete, follow, inspect, launch
from backfill_pipeline.steps.earlier import end_earlier_attempts
from backfill_pipeline.steps.records import Inspection, Launched
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline_tests.faults.driver import KillPoint, calls, carry_out
from backfill_pipeline_tests.faults.test_systems_killed import blocked_reads, lock_scores, pid_of
from backfill_pipeline_tests.faults.windows import CLUSTER, CUSTOMER, LEASE_SECONDS, THREE_DAYS, Small
from backfill_pipeline_tests.standstill import stop
from backfill_pipeline_tests.steps.test_cancel import interrupting
from backfill_pipeline_tests.steps.test_refusals import no_column
from backfill_pipeline_tests.worker.servers import wait_until

LAST_DAY = Window(THREE_DAYS.days[-1], THREE_DAYS.end)


def workflow_of(systems: Systems, claim: Claim) -> Found:
    [found] = systems.temporal.of_attempt("ReindexConversations", CUSTOMER, THREE_DAYS, claim.attempt_id)
    return found


def killed_above_a_paused_worker(small: Small, folder: Path) -> Claim:
    """A dead run whose workflow is surely open when the next attempt begins: the worker stands still until then."""
    small.damaged()
    pid = pid_of(small, f"worker-{CLUSTER}")
    assert pid
    stop(pid)
    dead = small.killed(folder, KillPoint("temporal.status"))
    threading.Timer(LEASE_SECONDS + 2, os.kill, [pid, signal.SIGCONT]).start()
    return dead


def test_t3_nothing_is_deleted_while_a_dead_runs_workflow_may_still_write(small: Small, tmp_path: Path) -> None:
    dead, heir = killed_above_a_paused_worker(small, tmp_path / "dead"), small.claim()
    states: list[WorkflowState] = []
    with small.live.systems(CLUSTER) as systems:
        assert workflow_of(systems, dead).state is WorkflowState.RUNNING
        wait_until(lambda: not is_leased(systems), "the end of the dead run's lease")

        def heard(name: str) -> None:
            if name == "ledger.mark_delete_submitted":
                states.append(workflow_of(systems, dead).state)

        with calls(systems, heard):
            (tmp_path / "heir").mkdir()
            recorded = carry_out(systems, heir, tmp_path / "heir")
    assert states == [WorkflowState.CANCELED]
    small.assert_right(recorded)
    small.assert_nothing_goes_on(dead, heir)


def test_d16_a_dead_runs_workflow_on_days_that_the_next_run_does_not_touch_is_ended_before_the_run_counts_as_ended(
    small: Small, tmp_path: Path
) -> None:
    """Nobody would look for it again: it would write beside whoever is at these days next."""
    cut = in_jobs_of_a_day(small)
    dead = killed_above_a_paused_worker(cut, tmp_path / "dead")
    with cut.live.systems(CLUSTER) as systems:
        first = workflow_of(systems, dead)
        assert (first.state, first.input.end_time) == (WorkflowState.RUNNING, "2026-01-02T00:00:00Z")
        wait_until(lambda: not is_leased(systems), "the end of the dead run's lease")
        end_earlier_attempts(systems, cut.live.claim(CLUSTER, CUSTOMER, LAST_DAY))
        assert systems.temporal.status(first.workflow_id).state is WorkflowState.CANCELED
        assert systems.ledger.unended(cut.claim()) == ()
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def in_jobs_of_a_day(small: Small) -> Small:
    limits = small.live.config.limits.model_copy(update={"max_job_rows": 1})
    return Small(replace(small.live, config=small.live.config.model_copy(update={"limits": limits})))


class LateList:
    """Temporal whose list lacks, for its first answers, what has only just been started; the real one's lag can't be set."""

    def __init__(self, temporal: Temporal) -> None:
        self._temporal = temporal
        self._late = 3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._temporal, name)

    def open_on(self, *of: Any) -> tuple[Found, ...]:
        return self._answer(self._temporal.open_on(*of))

    def of_attempt(self, *of: Any, **since: Any) -> tuple[Found, ...]:
        return self._answer(self._temporal.of_attempt(*of, **since))

    def _answer(self, found: tuple[Found, ...]) -> tuple[Found, ...]:
        self._late -= 1
        return () if self._late >= 0 else found


def test_t3_a_workflow_that_temporal_does_not_list_yet_is_not_taken_for_none(small: Small, tmp_path: Path) -> None:
    dead, heir = killed_above_a_paused_worker(small, tmp_path / "dead"), small.claim()
    with small.live.systems(CLUSTER) as systems:
        wait_until(lambda: not is_leased(systems), "the end of the dead run's lease")
        late: Any = LateList(systems.temporal)
        end_earlier_attempts(replace(systems, temporal=late), heir)
        assert systems.temporal.status(workflow_of(systems, dead).workflow_id).state is WorkflowState.CANCELED
    small.assert_right(small.run(heir, tmp_path / "heir"))
    small.assert_nothing_goes_on(dead, heir)


def is_leased(systems: Systems) -> bool:
    with systems.ledger.transaction() as connection:
        sql = b"SELECT 1 FROM ledger.leases WHERE customer = %s AND expires_at >= now()"
        return bool(connection.execute(sql, [CUSTOMER]).fetchall())


def test_t3_a_transfer_that_hung_through_its_cancel_is_waited_for_before_the_next_delete(
    small: Small, tmp_path: Path
) -> None:
    """The workflow closes as cancelled within 5 s, as promised, and leaves the transfer behind."""
    slept: list[float] = []
    with small.live.systems(CLUSTER) as systems, systems.postgres.connection() as held:
        dead = small.claim()
        launched_and_hung(systems, dead, held)
        systems.ledger.release(dead.attempt_id, systems.ledger.take(dead))
        systems.temporal.cancel(workflow_of(systems, dead).workflow_id)
        wait_until(lambda: workflow_of(systems, dead).state is WorkflowState.CANCELED, "the end", 10)
        assert blocked_reads(systems) > 0
        end_earlier_attempts(replace(systems, sleep=slept.append), small.claim())
        held.execute("ROLLBACK")
    assert sum(slept) > HEARTBEAT_TIMEOUT_SECONDS / 2
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


@pytest.mark.parametrize("patience", [HEARTBEAT_TIMEOUT_SECONDS, 300])
def test_t3_a_transfer_that_outlives_its_terminated_workflow_is_waited_for_as_long_as_it_may_be_silent_itself(
    small: Small, tmp_path: Path, patience: int
) -> None:
    """The run that followed it is over in an orderly way, and the next one comes at once."""
    slept: list[float] = []
    with small.live.systems(CLUSTER) as systems, systems.postgres.connection() as held:
        asked = {ENV_CONVERSATIONS_HEARTBEAT_TIMEOUT: f"{patience}s"}
        seen, launched = launched_and_hung(systems, small.claim(), held, **asked)
        terminate(systems, workflow_of(systems, seen.attempt))
        assert "TERMINATED" in follow.follow(systems, seen, launched).problems[0]
        systems.ledger.release(seen.attempt.attempt_id, seen.attempt.fence)
        end_earlier_attempts(replace(systems, sleep=slept.append), small.claim())
        held.execute("ROLLBACK")
        assert patience / 2 < sum(slept) <= patience
        assert systems.ledger.unended(small.claim()) == ()
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def test_t3_a_cancelled_run_whose_transfer_hangs_keeps_the_next_one_from_deleting_beside_it(
    small: Small, tmp_path: Path
) -> None:
    slept: list[float] = []
    with small.live.systems(CLUSTER) as systems, systems.postgres.connection() as held:
        seen, launched = launched_and_hung(systems, small.claim(), held)
        with pytest.raises(KeyboardInterrupt):
            follow.follow(replace(systems, sleep=interrupting()), seen, launched)
        assert blocked_reads(systems) > 0
        end_earlier_attempts(replace(systems, sleep=slept.append), small.claim())
        held.execute("ROLLBACK")
    assert sum(slept) > HEARTBEAT_TIMEOUT_SECONDS / 2
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def test_a_workflow_that_told_its_failure_itself_keeps_no_rerun_waiting(small: Small, tmp_path: Path) -> None:
    with small.live.systems(CLUSTER) as systems:
        seen = inspect.inspect(systems, small.claim(), launched_by="test")
        delete.delete(systems, seen)
        with no_column(systems):
            followed = follow.follow(systems, seen, launch.launch(systems, seen))
        systems.ledger.release(seen.attempt.attempt_id, seen.attempt.fence)
        assert "FAILED" in followed.problems[0]
        assert systems.ledger.unended(small.claim()) == ()
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def launched_and_hung(
    systems: Systems, claim: Claim, held: "Connection[TupleRow]", **env: str
) -> tuple[Inspection, Launched]:
    """An attempt whose transfer waits for a table that `held` has locked; env: what else its Job is told."""
    seen = inspect.inspect(systems, claim, launched_by="test")
    delete.delete(systems, seen)
    lock_scores(held)
    [planned] = seen.plan.launches
    launched = launch.make_job(systems, replace(planned, env={**planned.env, **env}))
    wait_until(lambda: blocked_reads(systems) > 0, "a transfer that reads", 30)
    time.sleep(4)  # the last heartbeat is told by then, and a read that hangs sends no other
    return seen, launched


def terminate(systems: Systems, found: Found) -> None:
    address = systems.cluster.temporal
    assert address

    async def end() -> None:
        client = await Client.connect(address.address, namespace=address.namespace)
        await client.get_workflow_handle(found.workflow_id).terminate()

    asyncio.run(end())
