"""Live writers go on while a run ends what was left, counts, waits and deletes: no row of theirs is refused or deleted."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backfill_pipeline.domain.guards import Approval
from backfill_pipeline.steps import delete, inspect
from backfill_pipeline.steps.records import Inspection
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline_tests.faults.windows import CLUSTER, Small
from backfill_pipeline_tests.steps.test_cancel import UNDER_WAY
from backfill_pipeline_tests.steps.test_health import give_back
from backfill_pipeline_tests.steps.test_refusals import future_rows, in_target
from backfill_pipeline_tests.worker.servers import wait_until

SECOND = 1.2  # a row stamped so much after the marker was from the future then, by clocks that may not differ
LIVE = (
    "INSERT INTO score SELECT * REPLACE ('live' AS criterion_id, now64(6, 'UTC') AS update_time) FROM score "
    "WHERE customer_id = 'acme' AND conversation_id != '' LIMIT 1"
)


@pytest.fixture
def systems(small: Small, tmp_path: Path) -> Iterator[Systems]:
    """Whose clocks may not differ. What a test left emptied, or wrote, is made right."""
    undo = "ALTER TABLE score DELETE WHERE criterion_id = 'live'"
    with small.live.systems(CLUSTER) as systems:
        yield replace(systems, limits=systems.limits.model_copy(update={"clock_skew_seconds": 0}))
        systems.clickhouse.shards[0].client().command(undo, settings={"mutations_sync": 2})
    small.assert_right(small.run(small.claim(), tmp_path / "again"))


def inspected(systems: Systems, small: Small, *approved: Approval) -> Inspection:
    return inspect.inspect(systems, small.claim(), launched_by="test", approved=frozenset(approved))


def a_live_row(systems: Systems) -> None:
    time.sleep(SECOND)
    systems.clickhouse.shards[0].client().command(LIVE)


def after(call: Callable[..., Any], systems: Systems) -> Callable[..., Any]:
    """The call took its time, and a live writer wrote meanwhile."""

    def slow(*given: Any, **named: Any) -> Any:
        found = call(*given, **named)
        a_live_row(systems)
        return found

    return slow


def rows(systems: Systems, criterion: str) -> int:
    sql = f"SELECT count() FROM score WHERE customer_id = 'acme' AND criterion_id = '{criterion}'"
    return int(systems.clickhouse.shards[0].scalar(sql))


def test_a_row_that_is_written_while_earlier_attempts_are_ended_is_not_refused_as_one_from_the_future(
    systems: Systems, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect, "end_earlier_attempts", after(inspect.end_earlier_attempts, systems))
    give_back(systems, inspected(systems, small))
    assert rows(systems, "live") == 1


def test_a_row_that_is_written_while_the_delete_waits_for_a_well_cluster_is_not_refused_as_one_from_the_future(
    systems: Systems, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delete, "wait_until_healthy", after(lambda *_: SECOND, systems))
    seen = inspected(systems, small)
    assert delete.delete(systems, seen).waited
    give_back(systems, seen)
    assert rows(systems, "live") == 1


def test_a_live_row_does_not_go_with_the_rows_from_the_future_whose_deletion_was_asked_for_before_it(
    systems: Systems, small: Small
) -> None:
    with future_rows(systems):
        seen = inspected(systems, small, Approval.FUTURE_VERSIONS)
        a_live_row(systems)
        delete.delete(systems, seen)
        give_back(systems, seen)
        assert (rows(systems, "f"), rows(systems, "live")) == (0, 1)


def test_a_live_row_that_comes_during_a_delete_of_rows_from_the_future_is_not_counted_as_its_survivor(
    systems: Systems, small: Small
) -> None:
    shard, failed = systems.clickhouse.shards[0], list[BaseException]()

    def deleted(seen: Inspection) -> None:
        try:
            delete.delete(systems, seen)
        except BaseException as error:
            failed.append(error)

    with future_rows(systems), in_target(systems, "SYSTEM STOP MERGES score", "SYSTEM START MERGES score"):
        seen = inspected(systems, small, Approval.FUTURE_VERSIONS)
        deleting = threading.Thread(target=deleted, args=[seen])
        deleting.start()
        wait_until(lambda: shard.scalar(f"{UNDER_WAY} AND table = 'score'") > 0, "the delete")
        a_live_row(systems)
        shard.client().command("SYSTEM START MERGES score")
        deleting.join(60)
        assert failed == []
        give_back(systems, seen)
        assert (rows(systems, "f"), rows(systems, "live")) == (0, 1)
