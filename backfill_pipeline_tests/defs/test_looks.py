"""What the retry sensor does where more is there than one look reads, or than one tick can show."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import dagster as dg
import psycopg
import pytest
from dagster._core.test_utils import freeze_time
from sqlalchemy import event
from sqlalchemy.engine import Engine

from backfill_pipeline.defs import ended_runs, retry
from backfill_pipeline.defs.memory import Memory
from backfill_pipeline.defs.partitions import range_tags
from backfill_pipeline.defs.retry import told
from backfill_pipeline.domain.datasets import Check
from backfill_pipeline.domain.retries import Of
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.pauses import end_pause, write_pause
from backfill_pipeline_tests.defs.ended import BY_HAND, LOG, WINDOW, Site, Status, day, windows
from backfill_pipeline_tests.operations.past import Past

MONTHS = timedelta(days=60)


def test_days_that_are_done_are_not_deleted_nor_their_cluster_stopped_because_a_cursor_was_lost(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that ever ended is read again, oldest first: what failed in one page is done in the next."""
    monkeypatch.setattr(ended_runs, "AT_ONCE", 25)
    monkeypatch.setattr(ended_runs, "PAGES", 1)
    for n in range(24):
        site.ran_ago(MONTHS, Status.FAILURE, day(n), **(BY_HAND if n % 2 else {}))
    for n in range(24):
        site.ran_ago(MONTHS - timedelta(days=1), Status.SUCCESS, day(n))
    Past(site.ledger, site.cluster, customer="acme").emptied(WINDOW)
    site.memory = Memory.of('{"looks": "a cursor of another version"}')
    behind = site.tick()
    assert {s.last.ended for s in behind.days.values()} == {"failed", "done"}
    assert (behind.is_behind, behind.due, behind.stopped, behind.quarantine) == (True, (), {}, ())
    assert str(behind).startswith("catching up: runs are read that ended until ")
    assert told(behind, site.looker, LOG).unsent == (), "nor is anybody told"
    caught_up = site.tick()
    assert (caught_up.is_behind, caught_up.due, caught_up.stopped, caught_up.quarantine) == (False, (), {}, ())
    assert {s.last.ended for s in caught_up.days.values()} == {"done"}
    assert len(told(caught_up, site.looker, LOG).unsent) == 1, "the window that is empty"


def test_retries_do_not_wait_for_what_is_read_again_though_more_ended_in_a_minute_than_a_page_holds(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended_runs, "AT_ONCE", 5)
    for _ in range(8):
        site.ran(Status.CANCELED, of=site.east)
    site.ran(Status.FAILURE)
    assert [windows(site.tick()) for _ in range(3)] == [[str(WINDOW)]] * 3


def test_a_cluster_is_not_stopped_for_what_failed_months_ago(site: Site) -> None:
    for n in range(25):
        site.ran_ago(MONTHS, Status.FAILURE, day(n))
    tick = site.tick()
    assert tick.stopped == {}
    assert len(tick.due) == 1


def test_runs_of_a_machine_whose_clock_is_ahead_do_not_hold_up_the_retries_of_all_others(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read at each look until their moment has come, and may fill it."""
    monkeypatch.setattr(ended_runs, "AT_ONCE", 3)
    site.ran(Status.FAILURE)
    with freeze_time(datetime.now(UTC) + timedelta(days=2)):
        for n in range(4):
            site.ran(Status.FAILURE, day(n), of=site.east)
    assert windows(site.tick())[:1] == [str(WINDOW)]


def test_a_quarantine_that_was_lifted_while_nobody_looked_is_shown_as_lifted(site: Site) -> None:
    """A day that was done long ago is forgotten, but not before its asset shows it."""
    site.ran_ago(MONTHS, Status.FAILURE, **BY_HAND)
    site.shown()
    site.ran_ago(MONTHS - timedelta(days=1), Status.SUCCESS)
    site.tick()
    assert {bool(why) for _, why in site.shown().quarantine} == {False}
    assert evaluated(site) == {str(d): True for d in WINDOW.days}


@pytest.mark.parametrize("dies", [0, 1, 2])
def test_s2_days_given_up_are_all_shown_and_told_however_little_time_a_tick_has_and_whichever_dies(
    site: Site, monkeypatch: pytest.MonkeyPatch, dies: int
) -> None:
    """A tick that dies before it has told what it has shown leaves it to the next one."""
    monkeypatch.setattr(retry, "SHOWING_SECONDS", 0)
    monkeypatch.setattr(retry, "MARKED_AT_ONCE", 2)
    for n in range(5):
        site.ran(Status.FAILURE, day(n), **BY_HAND)
    heard: list[str] = []
    for n in range(5):
        before = site.memory
        tick = site.shown()
        assert len(tick.quarantine) <= (4 if n == dies + 1 else 2), "an event that Dagster stores costs a while"
        if n == dies:
            site.memory = before
        else:
            heard += [str(s.day) for s, _ in tick.quarantine]
    assert sorted(heard) == [str(day(n).start) for n in range(5)]
    assert evaluated(site) == dict.fromkeys(heard, False)


def test_s2_a_tick_stays_quick_however_many_customers_and_days_have_failed(site: Site) -> None:
    """A hundred customers with a year each ask as often as one with three days; what is due is launched one by one."""
    site.tick()  # the first one may make the ledger's tables
    site.ran(Status.FAILURE)
    with questions() as few:
        site.tick()
    year = Window(date(2025, 1, 1), date(2026, 1, 1))
    for n in range(100):
        of = Of(site.cluster, f"customer-{n}", "conversations")
        site.looker.keys[site.key(of)] = of  # type: ignore[index]
        stored(site, of, year)
    write_pause(site.ledger, site.cluster, why="all have failed", by_whom="an operator")
    assert end_pause(site.ledger, site.cluster)
    with questions() as many:
        tick = site.tick()
    assert len(tick.days) == 3 + 100 * 365
    assert len(tick.due) == retry.PER_TICK
    assert many == few
    assert few["ledger"] > 0 < few["Dagster"]


def stored(site: Site, of: Of, window: Window) -> None:
    """A failed run as it stands in the storage in the end; its events play no part."""
    run = {"job_name": "__ASSET_JOB", "status": Status.FAILURE, "asset_selection": frozenset({site.key(of)})}
    site.instance.run_storage.add_run(dg.DagsterRun(run_id=str(uuid4()), tags=range_tags(window), **run))  # type: ignore[arg-type]


@contextmanager
def questions() -> Iterator[Counter[str]]:
    """How many statements were sent to Dagster's storage and to the ledger."""
    asked: Counter[str] = Counter()

    def count(*_: object) -> None:
        asked["Dagster"] += 1

    execute = psycopg.Connection.execute

    def counted(*args: Any, **more: Any) -> Any:
        asked["ledger"] += 1
        return execute(*args, **more)

    event.listen(Engine, "before_cursor_execute", count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Connection, "execute", counted)
        yield asked
    event.remove(Engine, "before_cursor_execute", count)


def evaluated(site: Site) -> dict[str, bool]:
    """By day, what the asset's check says newest."""
    key = dg.AssetCheckKey(site.key(site.acme), Check.QUARANTINE.value)
    history = site.instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
    return {str(r.partition): r.status.value == "SUCCEEDED" for r in sorted(history, key=lambda r: r.id)}
