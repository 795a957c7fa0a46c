"""What a dead or cancelled attempt left at work is over before the next one deletes."""

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

from backfill_pipeline.clients.temporal import Found, Temporal, WorkflowState
from backfill_pipeline.domain.contracts import HEARTBEAT_TIMEOUT_SECONDS
from backfill_pipeline.domain.plans import Claim
from backfill_pipeline.steps import delete, inspect, launch
from backfill_pipeline.steps.earlier import end_earlier_attempts
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline_tests.faults.driver import KillPoint, calls, carry_out
from backfill_pipeline_tests.faults.test_systems_killed import blocked_reads, lock_scores, pid_of
from backfill_pipeline_tests.faults.windows import CLUSTER, CUSTOMER, LEASE_SECONDS, THREE_DAYS, Small
from backfill_pipeline_tests.standstill import stop
from backfill_pipeline_tests.worker.servers import wait_until


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
        hung = launched_and_hung(systems, dead, held)
        systems.temporal.cancel(hung.workflow_id)
        wait_until(lambda: workflow_of(systems, dead).state is WorkflowState.CANCELED, "the end", 10)
        assert blocked_reads(systems) > 0
        end_earlier_attempts(replace(systems, sleep=slept.append), small.claim())
        held.execute("ROLLBACK")
    assert sum(slept) > HEARTBEAT_TIMEOUT_SECONDS / 2
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def launched_and_hung(systems: Systems, claim: Claim, held: "Connection[TupleRow]") -> Found:
    """A workflow whose transfer waits for a table that `held` has locked; the attempt's lease is free again."""
    seen = inspect.inspect(systems, claim, launched_by="test")
    delete.delete(systems, seen)
    lock_scores(held)
    launch.launch(systems, seen)
    systems.ledger.release(claim.attempt_id, seen.attempt.fence)
    wait_until(lambda: blocked_reads(systems) > 0, "a transfer that reads", 30)
    time.sleep(4)  # the last heartbeat is told by then, and a read that hangs sends no other
    return workflow_of(systems, claim)
