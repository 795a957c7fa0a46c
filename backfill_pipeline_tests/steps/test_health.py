"""A run waits before its delete while a system is unwell: nothing is touched meanwhile, and it says why."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backfill_pipeline.config import HealthLimits, PostgresAddress
from backfill_pipeline.domain.causes import Cause
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.failures import diagnose_error
from backfill_pipeline.steps import delete, inspect
from backfill_pipeline.steps.health import ask
from backfill_pipeline.steps.records import Deletion, Inspection
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.pauses import end_pause, write_pause
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline_tests.faults import driver
from backfill_pipeline_tests.faults.windows import CLUSTER, LEASE_SECONDS, Small
from backfill_pipeline_tests.steps.test_cancel import interrupted
from backfill_pipeline_tests.steps.test_refusals import everything, hidden
from backfill_pipeline_tests.stores.waiting import waiting_session
from backfill_pipeline_tests.worker.servers import free_port, wait_until

LOCK = "LOCK TABLE app.waited_for IN ACCESS EXCLUSIVE MODE"  # nobody else reads it
STRICT = {"postgres_waiting_locks": 0, "ask_seconds": 0.2, "deadline_seconds": 30}


@pytest.fixture
def systems(small: Small) -> Iterator[Systems]:
    """With no patience for a single waiting session. A test may leave the window empty: it is made anew."""
    small.live.make_data(size=0.01, days=3)
    with small.live.systems(CLUSTER) as systems:
        with systems.postgres.connection() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS app.waited_for ()")
        small.live.lines.clear()
        yield with_limits(systems)


def with_limits(systems: Systems, **changes: Any) -> Systems:
    return replace(systems, health=HealthLimits(**{**STRICT, **changes}))


def inspected(systems: Systems, small: Small) -> Inspection:
    return inspect.inspect(systems, small.claim(), launched_by="test")


def give_back(systems: Systems, seen: Inspection) -> None:
    systems.ledger.mark_ended(seen.attempt)
    systems.ledger.release(seen.attempt.attempt_id, seen.attempt.fence)


def is_listed_as_emptied(systems: Systems, seen: Inspection) -> bool:
    return seen.attempt.attempt_id in {e.attempt_id for e in systems.ledger.emptied()}


def test_a_well_cluster_keeps_nobody_waiting_and_nothing_is_said(systems: Systems, small: Small) -> None:
    told: list[str] = []
    seen = inspected(systems, small)
    assert ask(systems).reasons == ()
    delete.delete(systems, seen, told.append)
    give_back(systems, seen)
    assert told == []
    assert [line for line in small.live.lines if "wait" in line] == []


def test_a_delete_waits_for_the_queue_behind_a_lock_longer_than_its_lease_and_goes_on_when_it_is_gone(
    systems: Systems, small: Small
) -> None:
    small.damaged()
    told: list[str] = []
    done: list[Deletion] = []
    seen, before = inspected(systems, small), everything(systems.clickhouse)
    with waiting_session(systems.postgres, LOCK, LOCK) as let_go:
        deleting = threading.Thread(target=lambda: done.append(delete.delete(systems, seen, told.append)))
        deleting.start()
        time.sleep(2 * LEASE_SECONDS)
        assert everything(systems.clickhouse) == before
        assert not is_listed_as_emptied(systems, seen)
        with pytest.raises(Refused, match="Another attempt holds the lease"):
            systems.ledger.take(small.claim())
        let_go()
        deleting.join(30)
    assert everything(systems.clickhouse) != before
    assert is_listed_as_emptied(systems, seen)
    assert done[0].waited > 2 * LEASE_SECONDS
    give_back(systems, seen)
    assert "sessions that wait for a lock: 1, above 0 [health.postgres_waiting_locks]" in told[0]
    assert told[-1].startswith("no longer: went on after ")
    assert [line for line in small.live.lines if "waiting before the delete" in line and told[0] in line]


def test_a_wait_without_end_fails_with_every_reason_and_nothing_deleted(systems: Systems, small: Small) -> None:
    hasty = with_limits(systems, deadline_seconds=1, clickhouse_memory_ratio=0, postgres_connections_ratio=0)
    told: list[str] = []
    seen, before = inspected(systems, small), everything(systems.clickhouse)
    with waiting_session(systems.postgres, LOCK, LOCK), pytest.raises(PipelineError) as caught:
        delete.delete(hasty, seen, told.append)
    assert caught.value.kind is Kind.RETRY
    assert "Cluster north was not well enough for a delete in 1 s; nothing was deleted. 3 reasons" in str(caught.value)
    for name in ("postgres_waiting_locks", "clickhouse_memory_ratio", "postgres_connections_ratio"):
        assert f"[health.{name}]" in caught.value.why
        assert f"[health.{name}]" in told[-1]
    assert told[-1].startswith("given up after 1 s: ")
    assert everything(systems.clickhouse) == before
    give_back(systems, inspected(systems, small))  # the days are free again at once


def test_a_system_that_nobody_reaches_is_waited_for_and_no_crash(systems: Systems, small: Small) -> None:
    away = PostgresAddress(host="127.0.0.1", port=free_port(), database="source")
    blind = replace(with_limits(systems, deadline_seconds=0.5), postgres=Postgres(away))
    seen = inspected(systems, small)
    with pytest.raises(PipelineError, match=rf"PostgreSQL {away}: unknown, .*nobody listens") as caught:
        delete.delete(blind, seen)
    assert caught.value.kind is Kind.RETRY


PAUSED = "north is paused by alice since "


@pytest.fixture
def paused(systems: Systems) -> Iterator[Ledger]:
    """As `backfill pause` leaves it in the ledger; whoever launches in process asks for no slot of the pool."""
    write_pause(systems.ledger, CLUSTER, why="its disk is being changed", by_whom="alice")
    yield systems.ledger
    end_pause(systems.ledger, CLUSTER)


def test_a_run_that_no_pool_holds_back_deletes_nothing_while_its_cluster_is_paused_and_goes_on_when_it_is_resumed(
    systems: Systems, small: Small, paused: Ledger
) -> None:
    small.damaged()
    told: list[str] = []
    seen, before = inspected(systems, small), everything(systems.clickhouse)
    deleting = threading.Thread(target=delete.delete, args=(systems, seen, told.append))
    deleting.start()
    wait_until(lambda: bool(told), "a word of the pause")
    time.sleep(1)
    assert everything(systems.clickhouse) == before
    assert not is_listed_as_emptied(systems, seen)
    end_pause(paused, CLUSTER)
    deleting.join(30)
    assert everything(systems.clickhouse) != before
    assert is_listed_as_emptied(systems, seen)
    give_back(systems, seen)
    assert told[0].startswith(PAUSED)
    assert "its disk is being changed" in told[0]
    assert told[-1].startswith("no longer: went on after ")
    assert [line for line in small.live.lines if "waiting before the delete" in line and PAUSED in line]


def test_a_pause_without_end_fails_the_run_at_the_deadline_with_nothing_deleted(
    systems: Systems, small: Small, paused: Ledger
) -> None:
    seen, before = inspected(systems, small), everything(systems.clickhouse)
    with pytest.raises(PipelineError, match=r"in 1 s; nothing was deleted\..*backfill resume north") as caught:
        delete.delete(with_limits(systems, deadline_seconds=1), seen)
    assert diagnose_error(caught.value).cause is Cause.UNWELL
    assert everything(systems.clickhouse) == before
    assert not is_listed_as_emptied(systems, seen)


def test_d15_a_run_that_has_begun_its_delete_is_not_held_back_by_a_pause_and_left_emptied(
    systems: Systems, small: Small, paused: Ledger
) -> None:
    seen, told = inspected(systems, small), list[str]()
    systems.ledger.mark_delete_submitted(seen.attempt)
    delete.delete(systems, seen, told.append)
    give_back(systems, seen)
    assert told == []


def test_a_ledger_that_does_not_tell_whether_the_cluster_is_paused_counts_as_a_reason_and_not_as_no(
    systems: Systems,
) -> None:
    away = Ledger(Postgres(PostgresAddress(host="127.0.0.1", port=free_port(), database="ledger")))
    (reason,) = ask(replace(systems, ledger=away)).reasons
    assert reason.startswith("whether north is paused is unknown")
    assert "nobody listens" in reason


def test_d10_a_source_that_emptied_itself_during_the_wait_is_not_deleted_by_counts_from_before_it(
    systems: Systems, small: Small
) -> None:
    seen = inspected(systems, small)
    with waiting_session(systems.postgres, LOCK, LOCK) as let_go, hidden(systems, 1):
        inside = everything(systems.clickhouse)
        threading.Timer(0.5, let_go).start()
        with pytest.raises(Refused, match="the source has 0 of conversation"):
            delete.delete(systems, seen)
        assert everything(systems.clickhouse) == inside
    assert not is_listed_as_emptied(systems, seen)


def test_d15_an_emptied_window_is_finished_and_does_not_wait_for_better_days(systems: Systems, small: Small) -> None:
    small.damaged()
    seen, told = inspected(systems, small), list[str]()
    systems.ledger.mark_delete_submitted(seen.attempt)
    with waiting_session(systems.postgres, LOCK, LOCK):
        delete.delete(systems, seen, told.append)
    give_back(systems, seen)
    assert told == []


def test_d8_a_run_that_is_cancelled_while_it_waits_ends_at_once_with_nothing_deleted(
    systems: Systems, small: Small, tmp_path: Path
) -> None:
    claim, before = small.claim(), everything(systems.clickhouse)
    patient = HealthLimits(postgres_waiting_locks=0)  # the next look is a minute away
    config = small.live.config.model_copy(update={"health": patient})
    with waiting_session(systems.postgres, LOCK, LOCK):
        process = driver.start(config, claim, tmp_path)
        wait_until(lambda: (tmp_path / "inspect").exists(), "the end of inspect")
        time.sleep(3)
        assert process.is_alive()
        started = time.monotonic()
        interrupted(process)
        assert time.monotonic() - started < 10
    assert everything(systems.clickhouse) == before
    assert [e for e in systems.ledger.emptied() if e.attempt_id == claim.attempt_id] == []
    assert not (tmp_path / "delete").exists()
    assert systems.ledger.unended(small.claim()) == ()
    give_back(systems, inspected(systems, small))
    with systems.ledger.transaction() as connection:
        audited = connection.execute("SELECT outcome FROM audit.attempts WHERE attempt_id = %s", [claim.attempt_id])
        assert audited.fetchall() == [("cancelled",)]
