"""The retry sensor's look at a real Dagster instance and a real ledger."""

import logging
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.execution.api import create_execution_plan
from dagster._core.test_utils import create_run_for_test, freeze_time

from backfill_pipeline.config import Config
from backfill_pipeline.definitions import definitions_of
from backfill_pipeline.defs import ended_runs, tags
from backfill_pipeline.defs.ended_runs import WITHOUT_A_WORD, done_tag
from backfill_pipeline.defs.memory import Memory
from backfill_pipeline.defs.ops import job_days_asked
from backfill_pipeline.defs.partitions import RANGE_END, RANGE_START, range_tags
from backfill_pipeline.defs.pauses import stop_cluster
from backfill_pipeline.defs.resources import Pipeline
from backfill_pipeline.defs.retry import Tick, request_of, show_quarantine
from backfill_pipeline.domain.alerts import Subject
from backfill_pipeline.domain.causes import Cause, Remedy
from backfill_pipeline.domain.datasets import Check
from backfill_pipeline.domain.errors import Kind, Refused
from backfill_pipeline.domain.naming import cluster_pool
from backfill_pipeline.domain.retries import Of, Outcome, asked_again, fold
from backfill_pipeline.domain.retrying import SENSOR
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.failed_days import failed_days_of, read_failed_days, write_failed_days
from backfill_pipeline.stores.pauses import end_pause, write_pause
from backfill_pipeline_tests.defs.ended import BY_HAND, WINDOW, Site, Status, day, failing, windows
from backfill_pipeline_tests.live import Live


def test_s3_a_day_that_failed_long_ago_is_not_left_red_for_ever(site: Site) -> None:
    failed = site.ran(Status.FAILURE)
    (retry,) = site.tick().due
    assert (retry.failed_run, retry.window) == (failed, WINDOW)
    for _ in range(3):
        assert windows(site.tick()) == [str(WINDOW)]


def test_a_day_that_another_run_did_meanwhile_is_not_deleted_again(site: Site) -> None:
    site.ran(Status.FAILURE)
    site.tick()
    site.ran(Status.SUCCESS, Window(date(2026, 1, 2), date(2026, 1, 3)))
    tick = site.tick()
    assert windows(tick) == ["2026-01-01"]
    assert {str(day) for (_, day), s in tick.days.items() if s.last.ended == "failed"} == {"2026-01-01", "2026-01-03"}


@pytest.mark.parametrize("status", [Status.STARTED, Status.NOT_STARTED])
def test_a_customer_that_is_at_work_is_not_done_twice_at_once(site: Site, status: Status) -> None:
    site.ran(Status.FAILURE)
    create_run_for_test(
        site.instance, asset_selection=frozenset({site.key(site.acme)}), status=status, tags=range_tags(WINDOW)
    )
    assert windows(site.tick()) == []


def test_a_run_cancelled_by_hand_is_not_started_again_behind_its_operators_back(site: Site) -> None:
    site.ran(Status.FAILURE)
    site.ran(Status.CANCELED)
    tick = site.tick()
    assert windows(tick) == []
    assert {s.last.ended for s in tick.days.values()} == {"cancelled"}


@pytest.mark.parametrize(
    "given",
    [
        {RANGE_START: "2026-01-08", RANGE_END: "2026-01-02"},
        {RANGE_START: "yesterday"},
        {RANGE_START: "0001-01-01", RANGE_END: "9999-12-31"},
        {RANGE_START: "1950-01-01", RANGE_END: "2250-12-31"},
        {tags.RETRY: "many"},
        {tags.RETRY: "99999999999"},
        {tags.JOB_DAYS: "9" * 5000},
        {tags.DONE: "all"},
    ],
)
def test_a_run_with_tags_of_anybody_does_not_stop_the_retries_of_all_others(site: Site, given: dict[str, str]) -> None:
    site.ran(Status.FAILURE, of=site.east)
    site.ran(Status.FAILURE, **given)
    assert site.east in {r.of for r in site.tick().due}


def test_more_runs_that_ended_at_once_than_a_look_reads_do_not_hide_what_ended_after_them(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backfill of many runs that is cancelled ends them within seconds."""
    monkeypatch.setattr(ended_runs, "AT_ONCE", 5)
    monkeypatch.setattr(ended_runs, "PAGES", 1)
    for _ in range(12):
        site.ran(Status.CANCELED, of=site.east)
    failed = site.ran(Status.FAILURE)
    found = [r.failed_run for _ in range(4) for r in site.tick().due]
    assert failed in found


def test_another_customers_success_does_not_hide_a_failure(site: Site) -> None:
    site.ran(Status.FAILURE)
    site.ran(Status.SUCCESS, of=site.east)
    assert [r.of for r in site.tick().due] == [site.acme]


def test_a_customer_that_is_gone_from_the_configuration_does_not_stop_the_retries_of_all_others(site: Site) -> None:
    """Dagster refuses a whole tick for one asset that it does not know."""
    site.ran(Status.FAILURE)
    site.ran(Status.FAILURE, of=site.east)
    assert {r.of for r in site.tick().due} == {site.acme, site.east}
    site.looker = replace(site.looker, keys={site.key(site.east): site.east})
    assert [r.of for r in site.tick().due] == [site.east]


def test_what_a_run_told_of_itself_is_not_believed_of_the_run_that_repeats_it(site: Site) -> None:
    """Dagster gives a run that is executed again all tags of the first; that one deletes the days that were done, too."""
    said = {tags.DONE: done_tag([date(2026, 1, 2)]), tags.RETRY: "5", tags.RETRY_OF: "another", **BY_HAND}
    first = site.ran(Status.FAILURE, **said)
    assert windows(site.tick()) == [], "its days are quarantined, but the one that is done"
    site.ran(Status.FAILURE, **said, **{tags.SAID_BY: first, "dagster/parent_run_id": first})
    (again,) = site.tick().due
    assert (again.window, again.number) == (WINDOW, 1)


def test_days_that_the_failed_run_materialized_are_not_deleted_again(site: Site) -> None:
    site.ran(Status.FAILURE, **{tags.DONE: done_tag([date(2026, 1, 2)])})
    tick = site.tick()
    assert windows(tick) == ["2026-01-01"]
    assert {str(day) for _, day in tick.days} == {"2026-01-01", "2026-01-03"}


def test_a_tick_that_died_half_way_is_simply_repeated(site: Site) -> None:
    site.ran(Status.FAILURE)
    first = site.tick()
    site.memory = Memory()
    assert [r.run_key for r in site.tick().due] == [r.run_key for r in first.due]


def test_a_run_that_was_killed_says_nothing_and_is_done_again(site: Site) -> None:
    site.ran(Status.FAILURE)
    tick = site.tick()
    assert len(tick.due) == 1
    assert {s.last.evidence for s in tick.days.values()} == {WITHOUT_A_WORD}


def test_a_paused_cluster_is_left_alone_until_it_is_resumed(site: Site) -> None:
    site.ran(Status.FAILURE)
    write_pause(site.ledger, site.cluster, why="its disk is being changed", by_whom="an operator")
    assert windows(site.tick()) == []
    assert end_pause(site.ledger, site.cluster)
    assert windows(site.tick()) == [str(WINDOW)]
    assert not end_pause(site.ledger, site.cluster)


@pytest.mark.parametrize(
    ("kind", "is_given_up"),
    [(Kind.MISSING, True), (Kind.REFUSED, True), (Kind.UNREACHABLE, False), (Kind.RETRY, False)],
)
def test_p8_what_a_person_must_mend_is_quarantined_with_its_reason_and_the_command_that_lifts_it(
    site: Site, kind: Kind, is_given_up: bool
) -> None:
    site.ran(Status.FAILURE, **failing(kind))
    tick = site.tick()
    assert (windows(tick) == []) is is_given_up
    events = site.evaluations(tick)
    assert len(events) == (3 if is_given_up else 0)
    for event in events:
        assert not event.passed
        assert f"backfill retry --cluster {site.cluster} --dataset conversations acme" in str(event.description)


def test_a_quarantine_that_a_person_lifted_is_shown_as_lifted(site: Site) -> None:
    site.ran(Status.FAILURE, **failing(Kind.MISSING))
    site.shown()
    site.ran(Status.SUCCESS)
    tick = site.tick()
    events = site.evaluations(tick)
    assert [e.passed for e in events] == [True] * 3
    assert failed_days_of(site.ledger, site.acme, WINDOW)[WINDOW.start].last.ended == "done"


def test_days_that_are_given_up_again_and_again_are_shown_so_each_time(site: Site) -> None:
    """Dagster keeps one evaluation without a run per check and day: the second one ended all ticks, for everybody."""
    for _ in range(2):
        site.ran(Status.FAILURE, **BY_HAND)
        assert shown(site) == {False}
        write_failed_days(site.ledger, fold(read_failed_days(site.ledger), [asked(site)]).values())
        assert shown(site) == {False}, "asked for, and not done yet"
        site.ran(Status.SUCCESS)
        assert shown(site) == {True}


@pytest.mark.parametrize("ended", [Status.SUCCESS, Status.FAILURE])
def test_a_day_that_is_given_up_again_before_the_next_look_is_shown_and_told_again(site: Site, ended: Status) -> None:
    """A run between has said by its own check that all is well; it succeeded, or was killed before it could."""
    site.ran(Status.FAILURE, **BY_HAND)
    first = site.told().unsent
    site.evaluated_itself(site.ran(ended))
    site.ran(Status.FAILURE, **BY_HAND)
    second = site.told().unsent
    assert newest(site) == {False}
    assert {a.subject for a in second} == {Subject.QUARANTINE}
    assert {a.key for a in second}.isdisjoint(a.key for a in first)
    assert site.told().unsent == (), "once"


def test_a_tick_that_died_after_it_had_shown_a_quarantine_shows_it_again(site: Site) -> None:
    site.ran(Status.FAILURE, **BY_HAND)
    before = site.memory
    for _ in range(2):
        site.memory = before
        assert shown(site) == {False}


def test_what_dagster_does_not_take_of_a_quarantine_does_not_hold_up_the_retries(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site.ran(Status.FAILURE, **BY_HAND)
    tick = site.tick()

    def refused(*_: object, **__: object) -> None:
        raise RuntimeError("UniqueViolation")

    monkeypatch.setattr(site.instance, "report_dagster_event", refused)
    show_quarantine(tick, site.looker, logging.getLogger("test"))
    assert caplog.text.count("its asset does not show what is known of it: UniqueViolation") == 3


def shown(site: Site) -> set[bool]:
    """What the asset's check says of the window's days after another tick, by its newest evaluation of each."""
    site.shown()
    return newest(site)


def newest(site: Site) -> set[bool]:
    key = dg.AssetCheckKey(site.key(site.acme), Check.QUARANTINE.value)
    history = site.instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
    said = {r.partition: r.status.value == "SUCCEEDED" for r in sorted(history, key=lambda r: r.id)}
    assert said.keys() == {str(d) for d in WINDOW.days}
    return set(said.values())


def asked(site: Site) -> Outcome:
    return asked_again(
        site.acme, WINDOW.days, f"asked-{uuid4()}", datetime.now(UTC), job_days=3, by="somebody", kept={}
    )


@pytest.mark.parametrize("status", [Status.SUCCESS, Status.FAILURE])
def test_a_run_of_selected_steps_ends_no_quarantine_and_proves_no_day(
    site: Site, engines: Live, status: Status
) -> None:
    """`inspect` alone succeeds, and the days are still empty; "from failure" is refused and says no cause."""
    site.ran(Status.FAILURE, **BY_HAND)
    before = {at: s.last.run_id for at, s in site.tick().days.items()}
    site.ran(status, steps=steps_of(site, engines.config)[:-1])
    assert {at: s.last.run_id for at, s in site.tick().days.items()} == before


def test_a_run_whose_plan_names_all_steps_proves_its_days(site: Site, engines: Live) -> None:
    """So the UI launches them, but for backfills."""
    site.ran(Status.FAILURE, **BY_HAND)
    site.tick()
    site.ran(Status.SUCCESS, steps=steps_of(site, engines.config))
    assert ended(site.tick(), site.acme) == {"done"}


def steps_of(site: Site, config: Config) -> list[str]:
    """As Dagster plans an asset, with the name of the site's cluster for `north`."""
    key = dg.AssetKey(["conversations", "north", "acme"])
    job = definitions_of(config).get_repository_def().get_implicit_job_def_for_assets([key])
    assert job
    plan = create_execution_plan(job.get_subset(asset_selection={key}, asset_check_selection=set()))
    return [k.replace("north", site.cluster) for k in plan.step_keys_to_execute]


def test_a_run_that_ended_in_the_future_hides_no_failure_and_is_counted_once(site: Site) -> None:
    """A machine's clock is two days ahead. The day is done meanwhile, and stays so when that moment has come."""
    with freeze_time(datetime.now(UTC) + timedelta(days=2)):
        site.ran(Status.FAILURE)
    assert ended(site.tick(later=timedelta()), site.acme) == {"failed"}
    site.ran(Status.SUCCESS)
    site.ran(Status.FAILURE, of=site.east)
    for later in (timedelta(), timedelta(days=1), timedelta(days=2, minutes=1), timedelta(days=3)):
        tick = site.tick(later=later)
        assert (ended(tick, site.acme), ended(tick, site.east)) == ({"done"}, {"failed"})


def ended(tick: Tick, of: Of) -> set[str]:
    return {s.last.ended.value for (whose, _), s in tick.days.items() if whose == of}


def test_s4_days_attempt_and_size_reach_the_run_as_tags(site: Site) -> None:
    deadlock = {
        tags.CAUSE: str(Cause.DEADLOCK),
        tags.REMEDY: str(Remedy.SMALLER),
        tags.JOB_DAYS: "3",
        "approved/rows": "true",
    }
    failed = site.ran(Status.FAILURE, **deadlock, **{tags.LAUNCHED_BY: "someone", "dagster/backfill": "b1"})
    (retry,) = site.tick().due
    assert dict(request_of(retry).tags) == {
        **range_tags(WINDOW),
        tags.RETRY: "1",
        tags.RETRY_OF: failed,
        tags.JOB_DAYS: "1",
        tags.LAUNCHED_BY: "someone",
        "approved/rows": "true",
    }


@pytest.mark.parametrize("text", ["0", "-1", "367", "ten", "1.5", "", "¹", "9" * 5000])
def test_a_size_that_is_none_is_refused_before_anything_is_touched(text: str) -> None:
    with pytest.raises(Refused, match="Not a number of days"):
        job_days_asked({tags.JOB_DAYS: text})


def test_a_cluster_where_most_windows_fail_is_stopped_until_it_is_resumed(site: Site) -> None:
    for n in range(11):
        site.ran(Status.FAILURE, day(n))
    for n in range(9):
        site.ran(Status.SUCCESS, day(n), of=site.east)
    tick = site.tick()
    assert tick.stopped == {site.cluster: "11 of its last 20 windows failed"}
    assert windows(tick) == []
    stop_cluster(site.instance, site.ledger, site.cluster, tick.stopped[site.cluster])
    assert site.instance.event_log_storage.get_concurrency_info(cluster_pool(site.cluster)).slot_count == 0
    again = site.tick()
    assert (again.stopped, windows(again)) == ({}, [])
    assert end_pause(site.ledger, site.cluster)
    resumed = site.tick()
    assert (resumed.stopped, len(resumed.due)) == ({}, 1), "a window of the customer at a time"


def test_a_cursor_of_another_version_is_no_end_of_all_retries() -> None:
    assert Memory.of('{"seen": 1, "x": []}') == Memory.of("2026-01-01T00:00:00+00:00") == Memory.of(None) == Memory()


def test_the_sensor_carries_its_cursor_on_and_writes_down_what_failed(engines: Live) -> None:
    config = engines.config
    repository = definitions_of(config).get_repository_def()
    with dg.instance_for_test() as instance:
        key = dg.AssetKey(["conversations", "north", "globex"])
        run = create_run_for_test(instance, asset_selection=frozenset({key}), tags=range_tags(WINDOW))
        instance.report_run_failed(run)
        context = dg.build_sensor_context(
            instance, sensor_name=SENSOR, repository_def=repository, resources={"pipeline": Pipeline(config)}
        )
        result = repository.get_sensor_def(SENSOR).evaluate_tick(context)
    seen = Memory.of(result.cursor).seen_until
    assert seen
    assert seen <= datetime.now(UTC)
    known = failed_days_of(open_ledger(config), Of("north", "globex", "conversations"), WINDOW)
    assert {s.last.run_id for s in known.values()} == {run.run_id}
