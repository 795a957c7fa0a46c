"""Labels, step by step on real parts: the Job does the work, and the delete takes what a re-insert would double."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.steps import delete, follow, inspect, launch, verify
from backfill_pipeline.steps.records import Recorded
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline_tests.live import Live
from backfill_pipeline_tests.steps.labels import DAY, HOUR, Labels, days, quick
from backfill_pipeline_tests.steps.test_window import run_window
from backfill_pipeline_tests.worker import targets
from backfill_pipeline_tests.worker.servers import wait_until

AS_IN_THE_STACK = [("north", targets.NEWER), ("south", targets.OLDER)]
THE_OTHER_WAY = [("north", targets.OLDER), ("south", targets.NEWER)]
EVERYWHERE = [*AS_IN_THE_STACK, *(pytest.param(p, marks=pytest.mark.soak) for p in THE_OTHER_WAY)]
ONE_DAY, WEEK = days(15, 15), days(12, 18)
CHANGES: dict[str, dict[str, Any]] = {
    "re-assigned": {"agent_user_id": "bob"},
    "closed later": {"ended_at": DAY + 15 * HOUR},
    "closed on the next day": {"ended_at": DAY + 25 * HOUR},
    "began on another day": {"started_at": DAY - 20 * HOUR, "ended_at": DAY - 19 * HOUR},
}


@pytest.fixture(params=EVERYWHERE, ids="-".join)
def labels(engines: Live, request: pytest.FixtureRequest) -> Iterator[Labels]:
    """Each form of the table, on one shard and on two; `make test` takes them as the stack has them."""
    yield from made(engines, *request.param)


@pytest.fixture
def older(engines: Live) -> Iterator[Labels]:
    """The older form on two shards."""
    yield from made(engines, "south", targets.OLDER)


def made(engines: Live, cluster: str, form: str) -> Iterator[Labels]:
    labels = Labels(quick(engines), cluster, form)
    labels.clear()
    yield labels
    labels.clear(targets.NEWER if cluster == "north" else targets.OLDER)  # as the stack has them


def run(labels: Labels, window: Window) -> Recorded:
    with labels.live.systems(labels.cluster) as systems:
        return run_window(systems, labels.claim(window))


def assert_right(labels: Labels, recorded: Recorded) -> None:
    assert {str(d.verdict) for d in recorded.verification.days} <= {"MATCH", "EMPTY_BOTH"}, recorded.verification.days
    assert not recorded.doubled
    assert labels.held() == labels.expected()


def reinserted(labels: Labels, window: Window) -> None:
    """What the scripts did: the Job alone, without a delete."""
    with labels.live.systems(labels.cluster) as systems:
        claim = labels.claim(window)
        inspection = inspect.inspect(systems, claim, launched_by="test")
        follow.follow(systems, inspection, launch.launch(systems, inspection))
        systems.ledger.release(claim.attempt_id, inspection.attempt.fence)


NAMES = [f"{change}: o'hara\\'; --🙂" for change in CHANGES]


def changed(labels: Labels) -> None:
    """A conversation for each change, labelled, and then changed; and some that stay as they are."""
    labels.chat(*NAMES, *(f"c{i}" for i in range(30)))
    labels.event("c1", "hint")
    assert_right(labels, run(labels, ONE_DAY))
    for name, change in zip(NAMES, CHANGES.values(), strict=True):
        labels.chat(name, **change)


def test_l7_what_a_plain_reinsert_doubles_our_delete_has_taken_before(labels: Labels) -> None:
    changed(labels)
    reinserted(labels, WEEK)
    ids = Counter(row[0] for row in labels.held())
    doubled = NAMES if labels.form == targets.OLDER else [n for n in NAMES if "started_at" in CHANGES[n.split(":")[0]]]
    assert {i for i, rows in ids.items() if rows > 1} == set(doubled)
    assert_right(labels, run(labels, WEEK))


def test_the_window_of_the_new_day_alone_leaves_no_row_of_the_old_one(older: Labels) -> None:
    changed(older)
    run(older, days(16, 16))
    run(older, days(14, 14))
    assert [row for row in older.held() if row[2].day != 15] == [row for row in older.expected() if row[2].day != 15]
    assert {row[0] for row in older.held() if row[2].day == 15} == {r[0] for r in older.expected() if r[2].day == 15}
    assert_right(older, run(older, ONE_DAY))


def test_d7_the_window_of_the_old_day_alone_uncovers_no_older_row_and_takes_no_right_one(labels: Labels) -> None:
    """Both were written on the 14th and on the 15th; the source has one on the 16th now, and the other one is open."""
    begun = {"started_at": DAY - 20 * HOUR}
    labels.chat(*(f"c{i}" for i in range(30)))
    for end in (DAY - HOUR, DAY + HOUR):
        labels.chat("open again", "moved on", **begun, ended_at=end)
        reinserted(labels, days(end.day, end.day))
    labels.chat("open again", **begun, ended_at=None)
    labels.chat("moved on", **begun, ended_at=DAY + 25 * HOUR)
    run(labels, days(16, 16))
    run(labels, ONE_DAY)
    assert labels.held() == labels.expected() != []


def test_a_conversation_over_midnight_is_found_though_it_began_before_the_window(older: Labels) -> None:
    older.chat("c1", started_at=DAY - 23 * HOUR, ended_at=DAY + HOUR)
    older.chat("c2", started_at=DAY + 23 * HOUR, ended_at=DAY + 25 * HOUR)
    recorded = run(older, ONE_DAY)
    assert [str(d.verdict) for d in recorded.verification.days] == ["MATCH"]
    assert [row[0] for row in older.held()] == ["c1"]


def test_a_conversation_that_the_job_would_not_find_refuses_the_window_before_its_delete(older: Labels) -> None:
    older.chat("c1", started_at=DAY - 47 * HOUR, ended_at=DAY + HOUR)
    assert_right(older, run(older, ONE_DAY))
    older.chat("c2", started_at=DAY - 47 * HOUR, ended_at=DAY + HOUR + timedelta(seconds=1))
    why = r"took 2 days, 0:00:01, above 2 days, 0:00:00 \(limits.longest_conversation_hours\)"
    with pytest.raises(Refused, match=why):
        run(older, ONE_DAY)
    assert [row[0] for row in older.held()] == ["c1"]


class NoTemporal:
    """Whoever asks it anything fails."""

    def close(self) -> None:
        """Nothing was opened."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"Temporal was asked: {name}")


def test_labels_need_no_temporal(older: Labels) -> None:
    older.chat("c1")
    temporal: Any = NoTemporal()
    with older.live.systems(older.cluster) as systems:
        recorded = run_window(replace(systems, temporal=temporal), older.claim(ONE_DAY))
    assert_right(older, recorded)


def test_progress_comes_from_the_jobs_log(older: Labels) -> None:
    older.chat(*(f"c{i}" for i in range(5)))
    run(older, ONE_DAY)
    assert [line for line in older.live.lines if line.startswith("5 of 5 conversations")]


def killed_in_mid_batch(systems: Systems, labels: Labels) -> None:
    """The Job of a window is ended by SIGKILL while a read of it waits for a lock."""
    claim = labels.claim(WEEK)
    inspection = inspect.inspect(systems, claim, launched_by="test")
    delete.delete(systems, inspection)
    with systems.postgres.connection() as held:
        held.execute("BEGIN")
        held.execute("LOCK TABLE app.agent_assist_events IN ACCESS EXCLUSIVE MODE")
        launched = launch.launch(systems, inspection)
        wait_until(lambda: blocked(systems) > 0, "a read of the Job", 60)
        pid = systems.cluster.launcher.jobs / labels.cluster / launched.job_name / "pid"
        os.killpg(int(pid.read_text()), signal.SIGKILL)
        held.execute("ROLLBACK")
    followed = follow.follow(systems, inspection, launched)
    assert ["killed before it could say" in p for p in followed.problems] == [True]
    systems.ledger.release(claim.attempt_id, inspection.attempt.fence)


def blocked(systems: Systems) -> int:
    with systems.postgres.connection() as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE '%app.chats%'"
        ).fetchone()
    return int(row[0]) if row else 0


def test_a_label_job_killed_in_mid_batch_is_made_good_by_the_next_run(older: Labels) -> None:
    older.chat(*(f"c{i}" for i in range(30)))
    older.chat("on the next day", ended_at=DAY + 35 * HOUR)
    with older.live.systems(older.cluster) as systems:
        killed_in_mid_batch(systems, older)
    older.chat("c3", agent_user_id="bob", ended_at=DAY + 35 * HOUR)
    assert_right(older, run(older, WEEK))


def test_every_ended_conversation_has_its_row_and_every_row_its_conversation_by_id(older: Labels) -> None:
    older.chat("c1", started_at=DAY - HOUR, ended_at=DAY + HOUR)
    older.chat("c2")
    with older.live.systems(older.cluster) as systems:
        run_window(systems, older.claim(days(14, 15), "conversations"))
        run_window(systems, older.claim(days(14, 15)))
        who = ("labels", older.customer, ["default"], ONE_DAY)
        assert verify.find_unpaired(systems, *who) == {DAY.date(): []}
        for shard in systems.clickhouse.shards:
            shard.client().command("DELETE FROM conversation_with_labels WHERE conversation_id = 'c1'")
            shard.client().command("DELETE FROM conversation WHERE conversation_id = 'c2'")
        found = verify.find_unpaired(systems, *who)[DAY.date()]
    assert [str(f) for f in found] == [
        "1 ids of conversation have no row in conversation_with_labels (for example c1)",
        "1 ids of conversation_with_labels have no row in conversation (for example c2)",
    ]


def test_an_agent_with_an_active_day_too_many_is_named(older: Labels) -> None:
    older.chat("c1")
    run(older, ONE_DAY)
    older.chat("c1", agent_user_id="bob")
    with older.live.systems(older.cluster) as systems:
        found = verify.find_active_days(systems, "labels", older.customer, ["default"], days(15, 16))
    assert [str(f) for f in found[DAY.date()]] == [
        "1 agents are active in ClickHouse and not in PostgreSQL (for example ann)",
        "1 agents are active in PostgreSQL and not in ClickHouse (for example bob)",
    ]
    assert found[date(2026, 1, 16)] == []
