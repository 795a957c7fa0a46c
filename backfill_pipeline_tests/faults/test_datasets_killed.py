"""Kills that the other datasets have places of their own for: mid-slice of process scorecards, a shard in a delete of labels."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.steps.records import Recorded
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline_tests.faults.driver import calls, carry_out
from backfill_pipeline_tests.faults.test_systems_killed import blocked_reads, kill, lock_scores, run_with
from backfill_pipeline_tests.faults.windows import CLUSTER, CUSTOMER, THREE_DAYS, Small
from backfill_pipeline_tests.live import Live
from backfill_pipeline_tests.steps.labels import DAY, HOUR, Labels, days, quick
from backfill_pipeline_tests.worker import targets
from backfill_pipeline_tests.worker.servers import wait_until

_PROCESS = f"customer_id = '{CUSTOMER}' AND conversation_id = ''"
_DAMAGE = (
    f"DELETE FROM score WHERE {_PROCESS} AND cityHash64(scorecard_id) % 5 = 0",
    "INSERT INTO scorecard SELECT * REPLACE (-1 AS score, update_time + toIntervalMicrosecond(1) AS update_time) "
    f"FROM scorecard FINAL WHERE {_PROCESS} AND cityHash64(scorecard_id) % 3 = 0",
)


def damaged(clickhouse: ClickHouse) -> None:
    for statement in _DAMAGE:
        clickhouse.shards[0].client().command(statement, settings={"lightweight_deletes_sync": 2})


def test_t1_a_worker_killed_in_mid_slice_of_process_scorecards_is_followed_to_a_right_end(
    small: Small, tmp_path: Path
) -> None:
    """Temporal gives the dead try 30 s, as the CronJob's manifest says; this takes as long."""
    small.run(small.claim(), tmp_path / "conversations")  # the same tables: the judge sees both datasets
    claim = small.live.claim(CLUSTER, CUSTOMER, THREE_DAYS, dataset="process_scorecards")
    with small.live.systems(CLUSTER) as systems, systems.postgres.connection() as held:
        damaged(systems.clickhouse)

        def kill_in_mid_read() -> None:
            wait_until(lambda: blocked_reads(systems) > 0, "a transfer that reads", 30)
            kill(small, f"worker-{CLUSTER}")
            held.execute("ROLLBACK")

        faults = {"jobs._create": lambda: lock_scores(held), "jobs._call_runner": kill_in_mid_read}
        end = run_with(small, claim, tmp_path / "run", faults)
    assert isinstance(end, Recorded), str(end)
    assert [d.verdict for d in end.verification.days] == ["MATCH"] * 3
    found = small.live.differences(CLUSTER, CUSTOMER, THREE_DAYS, process=True)
    assert not found, str(found)


@pytest.fixture
def labels(engines: Live) -> Iterator[Labels]:
    """Two shards, the older form."""
    labels = Labels(quick(engines), "south", targets.OLDER)
    labels.clear()
    yield labels
    labels.clear()


def test_a_shard_killed_during_the_delete_of_labels_loses_and_doubles_no_row(labels: Labels, tmp_path: Path) -> None:
    small = Small(labels.live)
    labels.chat(*(f"c{i}" for i in range(40)))
    with labels.live.systems("south") as systems:
        (tmp_path / "first").mkdir()
        carry_out(systems, labels.claim(days(14, 16)), tmp_path / "first")
    labels.chat("c1", "c2", agent_user_id="bob", ended_at=DAY + 25 * HOUR)

    reached: list[str] = []

    def heard(name: str) -> None:
        if name == "mutations.submit" and not reached:
            reached.append(name)
            kill(small, "gateway-south-2")

    with labels.live.systems("south") as systems, calls(systems, heard):
        end = ended(systems, labels, tmp_path / "killed")
    assert reached
    assert isinstance(end, Recorded) or end.kind in (Kind.RETRY, Kind.UNREACHABLE), str(end)
    wait_until(lambda: answers(labels), "the gateway", 60)
    time.sleep(labels.live.config.limits.lease_seconds + 0.2)
    with labels.live.systems("south") as systems:
        (tmp_path / "again").mkdir()
        recorded = carry_out(systems, labels.claim(days(14, 16)), tmp_path / "again")
    assert {d.verdict.value for d in recorded.verification.days} <= {"MATCH", "EMPTY_BOTH"}
    assert not recorded.doubled
    assert labels.held() == labels.expected()


def ended(systems: Systems, labels: Labels, folder: Path) -> Recorded | PipelineError:
    folder.mkdir()
    try:
        return carry_out(systems, labels.claim(days(14, 16)), folder)
    except PipelineError as error:
        return error


def answers(labels: Labels) -> bool:
    with labels.live.systems("south") as systems:
        return _answers(systems)


def _answers(systems: Systems) -> bool:
    try:
        return all(s.scalar("SELECT 1") == 1 for s in systems.clickhouse.shards)
    except PipelineError:
        return False
