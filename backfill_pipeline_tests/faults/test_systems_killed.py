"""Worker, gateway and PostgreSQL ended by SIGKILL in mid-work; the supervisor restarts them, the window ends right."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from psycopg import Connection
from psycopg.rows import TupleRow

from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.plans import Claim
from backfill_pipeline.stack.state import last_state
from backfill_pipeline.steps.records import Recorded
from backfill_pipeline.steps.systems import Systems, open_ledger
from backfill_pipeline_tests.faults.driver import calls, carry_out
from backfill_pipeline_tests.faults.windows import CLUSTER, LEASE_SECONDS, Small
from backfill_pipeline_tests.worker.servers import wait_until


def pid_of(small: Small, name: str) -> int | None:
    state = last_state(small.live.state.folder)
    return state.pids.get(name) if state else None


def kill(small: Small, name: str) -> None:
    """SIGKILL, and return once the supervisor has put another process in its place."""
    old = pid_of(small, name)
    assert old
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: pid_of(small, name) not in (None, old), f"a new {name}", 60)


Faults = Mapping[str, Callable[[], None]]


def run_with(small: Small, claim: Claim, folder: Path, faults: Faults) -> Recorded | PipelineError:
    """The chain in this process, with each fault right after the first return of its call; its end, whatever it is."""
    folder.mkdir()
    to_come = dict(faults)

    def heard(name: str) -> None:
        to_come.pop(name, lambda: None)()

    with small.live.systems(CLUSTER) as systems, calls(systems, heard):
        try:
            return carry_out(systems, claim, folder)
        except PipelineError as error:
            return error
        finally:
            assert not to_come, f"never reached: {list(to_come)}"


def assert_right_or_redone(small: Small, end: Recorded | PipelineError, claim: Claim, folder: Path) -> None:
    """It ended right, or said that it may be run again and then did."""
    if isinstance(end, PipelineError):
        assert end.kind in (Kind.RETRY, Kind.UNREACHABLE), str(end)
        time.sleep(LEASE_SECONDS + 0.2)
        claim = small.claim()
        end = small.run(claim, folder / "again")
    small.assert_right(end)
    small.assert_nothing_goes_on(claim)


def test_a_gateway_killed_during_the_delete_leaves_no_day_empty_or_half_deleted(small: Small, tmp_path: Path) -> None:
    small.damaged()
    claim = small.claim()
    end = run_with(small, claim, tmp_path / "run", {"mutations.submit": lambda: kill(small, f"gateway-{CLUSTER}-1")})
    wait_until(lambda: gateway_answers(small), "the gateway", 60)
    assert_right_or_redone(small, end, claim, tmp_path)


def gateway_answers(small: Small) -> bool:
    with small.live.systems(CLUSTER) as systems:
        try:
            return bool(systems.clickhouse.now())
        except PipelineError:
            return False


def test_p1_postgresql_killed_while_a_run_follows_ends_in_a_right_window(small: Small, tmp_path: Path) -> None:
    small.damaged()
    claim = small.claim()
    end = run_with(small, claim, tmp_path / "run", {"launcher.log": lambda: kill(small, "postgres")})
    wait_until(lambda: postgres_answers(small), "PostgreSQL", 60)
    assert_right_or_redone(small, end, claim, tmp_path)


def postgres_answers(small: Small) -> bool:
    try:
        open_ledger(small.live.config).emptied()
    except PipelineError:
        return False
    return True


def test_t1_a_worker_killed_in_mid_activity_is_followed_to_a_right_end_by_the_same_run(
    small: Small, tmp_path: Path
) -> None:
    """Temporal gives the dead try 30 s to heartbeat, so this takes as long."""
    small.damaged()
    claim = small.claim()
    with small.live.systems(CLUSTER) as systems, systems.postgres.connection() as held:

        def kill_in_mid_read() -> None:
            wait_until(lambda: blocked_reads(systems) > 0, "a transfer that reads", 30)
            kill(small, f"worker-{CLUSTER}")
            held.execute("ROLLBACK")

        faults = {"jobs._create": lambda: lock_scores(held), "jobs._call_runner": kill_in_mid_read}
        end = run_with(small, claim, tmp_path / "run", faults)
    assert isinstance(end, Recorded), str(end)
    small.assert_right(end)
    small.assert_nothing_goes_on(claim)


def lock_scores(connection: "Connection[TupleRow]") -> None:
    connection.execute("BEGIN")
    connection.execute("LOCK TABLE director.historic_scorecard_scores IN ACCESS EXCLUSIVE MODE")


def blocked_reads(systems: Systems) -> int:
    with systems.postgres.connection() as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE '%director.%'"
        ).fetchone()
    return int(row[0]) if row else 0
