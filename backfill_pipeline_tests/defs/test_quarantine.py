"""A day that is given up is red where people look, until it is done: whatever else Dagster was told of it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from backfill_pipeline.defs import ended_runs
from backfill_pipeline.defs import retry as looks
from backfill_pipeline.defs.retry import request_of
from backfill_pipeline.domain.datasets import Check
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.retries import Retry, refuse_withdrawn
from backfill_pipeline.operations.cancel import Canceller
from backfill_pipeline.stores.failed_days import failed_days_of
from backfill_pipeline_tests.defs.ended import BY_HAND, POLICY, WINDOW, Site, Status
from backfill_pipeline_tests.operations.past import Past

DAYS = [str(d) for d in WINDOW.days]


def alerts(site: Site) -> int:
    """Of one more tick, whose cursor is kept, as those that it sent are."""
    memory = site.told()
    site.memory = replace(memory, unsent=())
    return len([a for a in memory.unsent if site.cluster in a.text])


def told_of(site: Site) -> list[tuple[int, float]]:
    """Every row that Dagster keeps of the check, and when it was last told of it."""
    check = dg.AssetCheckKey(site.key(site.acme), Check.QUARANTINE.value)
    rows = site.instance.event_log_storage.get_asset_check_execution_history(check, limit=1000)
    return [(row.id, row.event.timestamp) for row in rows if row.event]


def looks_quietly(site: Site) -> bool:
    """Whether one more look tells Dagster nothing."""
    before = told_of(site)
    return (alerts(site), told_of(site)) == (0, before)


def test_a_day_given_up_by_a_run_that_was_made_before_the_newest_stays_green(site: Site) -> None:
    """Dagster shows of a day the run that was made last; that one succeeded before."""
    first, second = site.began(**BY_HAND), site.began()
    for run in (first, second):
        site.planned(run.run_id)
    site.materialized(second.run_id)
    site.evaluated_itself(second.run_id)
    site.over(second, Status.SUCCESS)
    site.over(first, Status.FAILURE)
    assert alerts(site) == 1
    assert site.red() == DAYS


def test_a_day_that_was_materialized_before_it_was_given_up_is_in_no_list(site: Site) -> None:
    """What is told of no materialization counts as told of an older one."""
    site.materialized(site.ran(Status.SUCCESS))
    failed = site.began(**BY_HAND)
    site.planned(failed.run_id)
    site.over(failed, Status.FAILURE)
    assert alerts(site) == 1
    assert site.red() == DAYS


def test_a_run_of_the_checks_alone_takes_the_red_away_for_good(site: Site) -> None:
    """It is cancelled before it says anything."""
    site.ran(Status.FAILURE, **BY_HAND)
    assert alerts(site) == 1
    checks = site.began(of=site.east)
    site.planned(checks.run_id)
    site.over(checks, Status.CANCELED)
    assert site.red() == []
    assert alerts(site) == 0, "told once"
    assert site.red() == DAYS


def test_a_green_reported_by_hand_takes_the_red_away_for_good(site: Site) -> None:
    """It is of no run, and newer than the word of any; each look told an older row of it again."""
    failed = site.began(**BY_HAND)
    site.planned(failed.run_id)
    site.over(failed, Status.FAILURE)
    assert alerts(site) == 1
    for day in DAYS:
        green = dg.AssetCheckEvaluation(site.key(site.acme), Check.QUARANTINE.value, passed=True, partition=day)
        site.instance.report_runless_asset_event(green)
    assert site.red() == []
    assert alerts(site) == 0, "told once"
    assert site.red() == DAYS
    assert looks_quietly(site)
    site.ran(Status.SUCCESS)
    alerts(site)
    assert site.red() == []


def test_a_materialization_reported_of_no_day_takes_the_red_away_for_good(site: Site) -> None:
    """Dagster counts it as every day's, until the asset has another; each look told it again of the day's own."""
    site.materialized(site.ran(Status.SUCCESS))
    site.ran(Status.FAILURE, **BY_HAND)
    assert alerts(site) == 1
    site.instance.report_runless_asset_event(dg.AssetMaterialization(site.key(site.acme)))
    assert site.red() == []
    assert alerts(site) == 0, "told once"
    assert site.red() == DAYS
    assert looks_quietly(site)


def test_a_day_waits_for_ever_behind_those_that_dagster_does_not_take(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "MARKED_AT_ONCE", 2)
    site.ran(Status.FAILURE, **BY_HAND)
    assert alerts(site) == 1
    checks = site.began(of=site.east)
    site.planned(checks.run_id)
    site.over(checks, Status.CANCELED)
    report, tried = site.instance.report_dagster_event, []

    def refused(event: dg.DagsterEvent, run_id: str) -> None:
        tried.append(event)
        if event.event_specific_data.partition != DAYS[-1]:  # type: ignore[union-attr]
            raise RuntimeError("server closed the connection unexpectedly")
        report(event, run_id)

    monkeypatch.setattr(site.instance, "report_dagster_event", refused)
    assert [alerts(site) for _ in range(2)] == [0, 0]
    assert site.red() == DAYS[-1:]
    assert len(tried) == 4, "as many a look as are shown at once"
    assert looks_quietly(site)


def test_what_dagster_did_not_take_once_is_never_shown(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.ran(Status.FAILURE, **BY_HAND)

    def refused(*_: object, **__: object) -> None:
        raise RuntimeError("server closed the connection unexpectedly")

    with monkeypatch.context() as broken:
        broken.setattr(site.instance, "report_dagster_event", refused)
        assert alerts(site) == 1, "whether it is shown or not"
    assert alerts(site) == 0
    assert site.red() == DAYS


def test_a_green_that_dagster_did_not_take_is_never_shown(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.ran(Status.FAILURE, **BY_HAND)
    alerts(site)
    site.ran(Status.SUCCESS)

    def refused(*_: object, **__: object) -> None:
        raise RuntimeError("server closed the connection unexpectedly")

    with monkeypatch.context() as broken:
        broken.setattr(site.instance, "report_dagster_event", refused)
        alerts(site)
    assert site.red() == DAYS
    alerts(site)
    assert site.red() == []


def test_an_alert_of_a_tick_that_died_is_lost_where_the_next_look_only_reads_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended_runs, "AT_ONCE", 5)
    monkeypatch.setattr(ended_runs, "PAGES", 1)
    site.ran(Status.FAILURE, **BY_HAND)
    before = site.memory
    site.shown()
    site.memory = before
    for _ in range(12):
        site.ran(Status.CANCELED, of=site.east)
    assert sum(alerts(site) for _ in range(5)) == 1


def launched(site: Site, retry: Retry, status: Status, **given: str) -> str:
    """By the sensor, as Dagster makes it of the request."""
    asked = {t: v for t, v in request_of(retry).tags.items() if t not in ("dagster/run_key",)}
    return site.ran(status, retry.window, retry.of, **{**asked, **given})


def test_a_retry_that_ended_unseen_strands_its_day(site: Site) -> None:
    """Its run key is used, so Dagster makes no other run; its asset was out of the configuration for a look."""
    site.ran(Status.FAILURE)
    (retry,) = site.tick().due
    Past(site.ledger, site.cluster, customer="acme").emptied(WINDOW)
    whole = site.looker
    site.looker = replace(whole, keys={site.key(site.east): site.east})
    launched(site, retry, Status.FAILURE, **BY_HAND)
    site.tick()
    site.looker, site.memory = whole, replace(site.memory, seen_until=datetime.now(UTC) + timedelta(seconds=1))
    assert site.tick().due == ()
    assert alerts(site) == 2, "its days, and that they are empty"
    assert site.red() == DAYS


def withdrawn(site: Site) -> None:
    """`backfill cancel`, while the sensor sends its alerts."""
    canceller = Canceller(client=NoRuns(), ledger=site.ledger, wanted=[site.acme], policy=POLICY)  # type: ignore[arg-type]
    canceller.leave_empty(canceller.look())


class NoRuns:
    def unfinished_runs(self) -> tuple[Any, ...]:
        return ()

    def unfinished_backfills(self) -> tuple[Any, ...]:
        return ()


def test_a_retry_that_was_cancelled_while_it_was_launched_deletes_its_days_all_the_same(site: Site) -> None:
    failed = site.ran(Status.FAILURE)
    (retry,) = site.tick().due
    withdrawn(site)
    known = failed_days_of(site.ledger, site.acme, WINDOW)
    with pytest.raises(Refused, match="The retry was cancelled while it was launched; nothing was touched") as refused:
        refuse_withdrawn(known, WINDOW.days, failed)
    assert "withdrawn by " in str(refused.value)
    assert (
        f"backfill retry --cluster {site.cluster} --dataset conversations acme 2026-01-01..2026-01-03 --cancelled"
        in str(refused.value)
    )
    launched(site, retry, Status.FAILURE, **BY_HAND)
    tick = site.tick()
    assert ({s.last.ended for s in tick.days.values()}, tick.due, tick.quarantine) == ({"cancelled"}, (), ())


def test_a_cluster_is_stopped_because_a_person_cancelled_its_retries(site: Site) -> None:
    """They refuse themselves, which is a failure; the next look reads it again."""
    site.ran(Status.FAILURE)
    (retry,) = site.tick().due
    before = site.memory.ends[site.cluster]
    withdrawn(site)
    launched(site, retry, Status.FAILURE, **BY_HAND)
    for _ in range(2):
        site.tick()
        assert site.memory.ends[site.cluster] == before


def test_a_retry_of_some_days_that_are_empty_goes_on_though_the_others_were_cancelled(site: Site) -> None:
    failed = site.ran(Status.FAILURE)
    site.tick()
    waiting = failed_days_of(site.ledger, site.acme, WINDOW)
    withdrawn(site)
    known: Mapping[Any, Any] = failed_days_of(site.ledger, site.acme, WINDOW)
    first = WINDOW.days[0]
    refuse_withdrawn({**known, first: waiting[first]}, WINDOW.days, failed)
    refuse_withdrawn(known, WINDOW.days, None)
    refuse_withdrawn({}, WINDOW.days, failed)
