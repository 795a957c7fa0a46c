"""The retry sensor's look at a real Dagster instance and a real ledger."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from backfill_pipeline.config import Limits
from backfill_pipeline.definitions import definitions_of
from backfill_pipeline.defs import ended_runs, tags
from backfill_pipeline.defs.ended_runs import WITHOUT_A_WORD, done_tag
from backfill_pipeline.defs.memory import Memory
from backfill_pipeline.defs.ops import job_days_asked, tell_cause
from backfill_pipeline.defs.partitions import RANGE_END, RANGE_START, range_tags
from backfill_pipeline.defs.pauses import stop_cluster
from backfill_pipeline.defs.resources import Pipeline
from backfill_pipeline.defs.retry import NAME, Looker, Tick, quarantine_events, request_of, sent, told
from backfill_pipeline.domain.alerts import Alert, Subject
from backfill_pipeline.domain.causes import Cause, Remedy
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.failures import diagnose_error
from backfill_pipeline.domain.naming import cluster_pool
from backfill_pipeline.domain.retries import Of
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.failed_days import failed_days_of
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.pauses import end_pause, write_pause
from backfill_pipeline_tests.live import Live

SECRET = "hunter2-do-not-print"
Status = dg.DagsterRunStatus
WINDOW = Window(date(2026, 1, 1), date(2026, 1, 4))
POLICY = Limits(retry_attempts=2, retry_delay_seconds=60).retry_policy


class Site:
    """A Dagster instance of its own, the ledger of the stack, and a cluster that no other test knows."""

    def __init__(self, instance: dg.DagsterInstance, ledger: Ledger) -> None:
        self.instance, self.ledger, self.cluster = instance, ledger, f"c{uuid4().hex[:8]}"
        self.acme = Of(self.cluster, "acme", "conversations")
        self.east = Of(self.cluster, "acme-east", "conversations")
        self.memory = Memory()
        self.looker = Looker(instance, ledger, {self.key(of): of for of in (self.acme, self.east)}, POLICY)

    def key(self, of: Of) -> dg.AssetKey:
        return dg.AssetKey([of.dataset, of.cluster, of.customer])

    def ran(self, status: Status, window: Window = WINDOW, of: Of | None = None, **given: str) -> str:
        """A run that ended so, now; its id."""
        run = create_run_for_test(
            self.instance,
            asset_selection=frozenset({self.key(of or self.acme)}),
            status=Status.STARTED,
            tags={**range_tags(window), **given},
        )
        if status is Status.FAILURE:
            self.instance.report_run_failed(run)
        elif status is Status.SUCCESS:
            self._report(dg.DagsterEventType.RUN_SUCCESS, run.run_id)
        elif status is Status.CANCELED:
            self.instance.report_run_canceled(run)
        return str(run.run_id)

    def _report(self, kind: dg.DagsterEventType, run_id: str, data: Any = None) -> None:
        self.instance.report_dagster_event(dg.DagsterEvent(kind.value, "job", event_specific_data=data), run_id)

    def tick(self, *, later: timedelta = timedelta(hours=9)) -> Tick:
        found = self.looker.look(self.memory, datetime.now(UTC) + later)
        self.memory = Memory.of(found.memory.cursor())
        ours = {at: s for at, s in found.days.items() if at[0].cluster == self.cluster}
        return replace(found, days=ours, due=tuple(r for r in found.due if r.of.cluster == self.cluster))


@pytest.fixture
def site(engines: Live) -> Iterator[Site]:
    with dg.instance_for_test() as instance:
        yield Site(instance, open_ledger(engines.config))


def windows(tick: Tick) -> list[str]:
    return [str(r.window) for r in tick.due]


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
    for _ in range(12):
        site.ran(Status.CANCELED, of=site.east)
    failed = site.ran(Status.FAILURE)
    found = [r.failed_run for _ in range(4) for r in site.tick().due]
    assert failed in found


def test_another_customers_success_does_not_hide_a_failure(site: Site) -> None:
    site.ran(Status.FAILURE)
    site.ran(Status.SUCCESS, of=site.east)
    assert [r.of for r in site.tick().due] == [site.acme]


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


def failing(kind: Kind) -> dict[str, str]:
    """The tags that a run has whose step failed so, written by the step itself."""

    @dg.op
    def step(context: dg.OpExecutionContext) -> None:
        error = PipelineError("no such column", where="-", why="-", next_step="-", kind=kind)
        tell_cause(context, diagnose_error(error))
        raise error

    @dg.job
    def job() -> None:
        step()

    with dg.instance_for_test() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        found = instance.get_run_by_id(result.run_id)
        assert found
        return {t: v for t, v in found.tags.items() if t in (tags.CAUSE, tags.REMEDY, tags.EVIDENCE)}


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
    events = list(quarantine_events(tick, site.looker))
    assert len(events) == (3 if is_given_up else 0)
    for event in events:
        assert not event.passed
        assert f"backfill retry --cluster {site.cluster} --dataset conversations acme" in str(event.description)


def test_a_quarantine_that_a_person_lifted_is_shown_as_lifted(site: Site) -> None:
    site.ran(Status.FAILURE, **failing(Kind.MISSING))
    site.tick()
    site.ran(Status.SUCCESS)
    tick = site.tick()
    events = list(quarantine_events(tick, site.looker))
    assert [e.passed for e in events] == [True] * 3
    assert failed_days_of(site.ledger, site.acme, WINDOW)[WINDOW.start].last.ended == "done"


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


@pytest.mark.parametrize("text", ["0", "-1", "367", "ten", "1.5", "", "¹"])
def test_a_size_that_is_none_is_refused_before_anything_is_touched(text: str) -> None:
    with pytest.raises(Refused, match="Not a number of days"):
        job_days_asked({tags.JOB_DAYS: text})


def test_s2_a_tick_stays_quick_however_many_days_have_failed(site: Site) -> None:
    """Not a measure: 100 windows of a year would take minutes if anything were asked per day."""
    year = Window(date(2025, 1, 1), date(2026, 1, 1))
    for n in range(19):
        site.ran(Status.FAILURE, year, **{tags.RETRY: str(n % 2)})
    started = time.monotonic()
    tick = site.tick()
    assert time.monotonic() - started < 10
    assert len(tick.days) == 365
    assert windows(tick) == [str(year)]


def test_a_cluster_where_most_windows_fail_is_stopped_until_it_is_resumed(site: Site) -> None:
    for _ in range(11):
        site.ran(Status.FAILURE)
    for _ in range(9):
        site.ran(Status.SUCCESS, of=site.east)
    tick = site.tick()
    assert tick.stopped == {site.cluster: "11 of its last 20 windows failed"}
    assert windows(tick) == []
    stop_cluster(site.instance, site.ledger, site.cluster, tick.stopped[site.cluster])
    assert site.instance.event_log_storage.get_concurrency_info(cluster_pool(site.cluster)).slot_count == 0
    again = site.tick()
    assert (again.stopped, windows(again)) == ({}, [])
    assert end_pause(site.ledger, site.cluster)
    resumed = site.tick()
    assert (resumed.stopped, windows(resumed)) == ({}, [str(WINDOW)])


def test_what_a_person_must_know_is_told_once_and_sent_until_it_is_taken(site: Site) -> None:
    site.ran(Status.FAILURE, **failing(Kind.MISSING))
    log = logging.getLogger("test")
    with webhook(refuses=True) as (url, _):
        memory = sent(url, told(site.tick(), site.looker), log)
    assert [a.subject for a in memory.unsent] == ["quarantine"]
    site.memory = memory
    with webhook() as (url, taken):
        memory = sent(url, told(site.tick(), site.looker), log)
        site.memory = memory
        assert sent(url, told(site.tick(), site.looker), log).unsent == ()
    (body,) = taken
    assert body["subject"] == "quarantine"
    assert f"conversations of acme on {site.cluster}: {WINDOW} is left to a person: missing" in body["text"]


@contextmanager
def webhook(*, refuses: bool = False) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A webhook that takes what it is told, or refuses it; its address holds a secret."""
    taken: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not refuses:
                taken.append(body)
            self.send_response(500 if refuses else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not on the test's output."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{SECRET}", taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.mark.parametrize("refuses", [True, False])
def test_the_webhooks_address_is_never_told(site: Site, caplog: pytest.LogCaptureFixture, refuses: bool) -> None:
    site.ran(Status.FAILURE, **failing(Kind.MISSING))
    with webhook(refuses=refuses) as (url, _):
        memory = sent(url, told(site.tick(), site.looker), logging.getLogger("test"))
    gone = sent(url, replace(memory, unsent=(Alert(Subject.STOPPED, "k", "t"),)), logging.getLogger("test"))
    assert len(gone.unsent) == 1
    assert "ConnectionError" in caplog.text
    assert SECRET not in caplog.text + memory.cursor() + gone.cursor()


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
            instance, sensor_name=NAME, repository_def=repository, resources={"pipeline": Pipeline(config)}
        )
        result = repository.get_sensor_def(NAME).evaluate_tick(context)
    seen = Memory.of(result.cursor).seen_until
    assert seen
    assert seen <= datetime.now(UTC)
    known = failed_days_of(open_ledger(config), Of("north", "globex", "conversations"), WINDOW)
    assert {s.last.run_id for s in known.values()} == {run.run_id}
