"""`backfill status` on the real ledger and Temporal: each day is in one state, and what is not known is not a zero."""

import json
import socket
import time
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import jsonschema
import pytest

from backfill_pipeline.config import Config, PostgresAddress, TemporalAddress
from backfill_pipeline.domain.causes import Cause, Remedy
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.retries import Ended
from backfill_pipeline.domain.status import DayCounts, Standing, Status, Trouble
from backfill_pipeline.operations.select import select
from backfill_pipeline.operations.status import Asked, status
from backfill_pipeline.report.status import DOCUMENT, document, status_tables
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.pauses import end_pause, write_pause
from backfill_pipeline_tests.clients.workflows import Started, an_input, polled
from backfill_pipeline_tests.live import Live
from backfill_pipeline_tests.operations.dagster_standin import answers, dagster
from backfill_pipeline_tests.operations.past import JANUARY, NOW, Past, config_of, look, window
from backfill_pipeline_tests.report.printing import printed

SCHEMA = Path(__file__).with_name("status.schema.json")
IDLE = {"status": "RUNNING", "ticks": [{"status": "SKIPPED", "timestamp": NOW.timestamp(), "error": None}]}
NOBODY = PostgresAddress(host="127.0.0.1", port=9, database="ledger")


@pytest.fixture
def past(ledger: Ledger) -> Past:
    return Past(ledger)


def of(engines: Live, *pasts: Past) -> Config:
    return config_of(engines.config, *((p.cluster, p.customer) for p in pasts))


def counts(found: Status, cluster: str = "north") -> DayCounts:
    [row] = [c for c in found.clusters if c.cluster == cluster]
    assert row.days
    return row.days


# Days are told apart.


def test_a_day_is_in_two_states_or_in_none(engines: Live, past: Past) -> None:
    past.recorded(window(1, 10))
    past.recorded(window(11, 12), bad=[date(2026, 1, 12)])
    past.failed(window(13, 14))
    past.failed(window(15, 17), remedy=Remedy.BY_HAND, cause=Cause.SCHEMA_DRIFT)
    past.failed(window(18, 18), ended=Ended.CANCELLED)
    past.emptied(window(19, 20))
    past.running(window(21, 25))
    found = look(of(engines, past))
    assert counts(found) == DayCounts(done=11, running=5, failed=3, cancelled=1, quarantined=3, emptied=2, left=6)
    assert found.clusters[0].rows == 11 * 30


def test_days_that_were_deleted_stand_below_less_urgent_ones(engines: Live, past: Past, ledger: Ledger) -> None:
    other = Past(ledger)
    past.failed(window(1, 2))
    past.failed(window(3, 3), remedy=Remedy.BY_HAND)
    other.emptied(window(4, 6))
    other.failed(window(4, 6), remedy=Remedy.BY_HAND, cause=Cause.SCHEMA_DRIFT, evidence="no column `x`")
    found = look(of(engines, past, other))
    assert [(a.trouble, a.customer, a.count) for a in found.attention] == [
        (Trouble.EMPTIED, other.customer, 3),
        (Trouble.QUARANTINED, past.customer, 1),
        (Trouble.FAILED, past.customer, 2),
    ]
    assert "schema drift does not pass by itself. Seen: no column `x`" in found.attention[0].why
    assert all(found.attention[n].command for n in (0, 1))


def test_a_failure_does_not_say_when_it_is_tried_again_or_that_nobody_does(engines: Live, past: Past) -> None:
    past.failed(window(1, 2), retry=0)
    past.failed(window(5, 5), retry=5)
    found = look(of(engines, past))
    [quarantined, failed] = found.attention
    assert failed.due_at
    assert timedelta(seconds=60) <= failed.due_at - NOW <= timedelta(seconds=90)
    assert (failed.command, quarantined.due_at) == (None, None)
    assert quarantined.command
    assert "after 5 retries" in quarantined.why


def test_a_window_whose_run_is_at_work_is_taken_for_one_that_was_deleted_and_left(engines: Live, past: Past) -> None:
    past.ledger.mark_delete_submitted(past.running(window(1, 3)))
    found = look(of(engines, past))
    assert (counts(found).running, counts(found).emptied, found.attention) == (3, 0, ())
    assert [(r.days, r.is_emptied) for r in found.running] == [(("2026-01-01..2026-01-03",), True)]


def test_an_older_verdict_hides_that_the_day_is_wrong_now(engines: Live, past: Past) -> None:
    past.recorded(window(1, 2))
    past.recorded(window(2, 2), bad=[date(2026, 1, 2)])
    assert counts(look(of(engines, past))) == DayCounts(done=1, failed=1, left=29)


def test_days_that_a_verdict_found_empty_are_called_wrong_as_if_their_rows_were_there(
    engines: Live, past: Past
) -> None:
    lost = window(1, 2).days
    past.recorded(window(1, 3), bad=window(1, 3).days, lost=lost)
    past.failed(window(1, 3), remedy=Remedy.BY_HAND, cause=Cause.CANCELLED, at=datetime.now(UTC))
    found = look(of(engines, past))
    assert counts(found) == DayCounts(emptied=2, quarantined=1, left=28)
    assert [(a.trouble, a.days) for a in found.attention] == [
        (Trouble.EMPTIED, ("2026-01-01..2026-01-02",)),
        (Trouble.QUARANTINED, ("2026-01-03",)),
    ]


def test_a_day_that_was_done_again_is_called_failed_for_ever(engines: Live, past: Past) -> None:
    past.failed(window(1, 1))
    past.failed(window(2, 2), at=datetime.now(UTC) + timedelta(hours=1))
    past.recorded(window(1, 2))
    assert counts(look(of(engines, past))) == DayCounts(done=1, failed=1, left=29)


def test_a_run_that_was_cancelled_before_it_touched_anything_takes_days_out_of_what_is_done(
    engines: Live, past: Past
) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    past.recorded(window(1, 10))
    past.failed(window(1, 2), ended=Ended.CANCELLED, at=soon)
    found = look(of(engines, past))
    assert (counts(found), found.clusters[0].rows) == (DayCounts(done=10, left=21), 10 * 30)
    assert (found.attention, found.clusters[0].diagnosis) == ((), "")
    past.emptied(window(2, 2))
    found = look(of(engines, past))
    assert counts(found) == DayCounts(done=9, emptied=1, left=21)
    assert [(a.trouble, "cancelled by hand" in a.why) for a in found.attention] == [(Trouble.EMPTIED, True)]


def test_what_a_person_did_is_counted_as_a_failure_without_a_cause(engines: Live, past: Past) -> None:
    past.failed(window(1, 2), ended=Ended.CANCELLED, cause=Cause.UNKNOWN)
    past.failed(window(4, 4), ended=Ended.ASKED, cause="asked for by somebody")
    assert look(of(engines, past)).clusters[0].diagnosis == "cancelled by hand: 2 days; asked for again: 1 day"


def test_the_command_for_emptied_days_leaves_those_out_of_which_nobody_has_told_why(engines: Live, past: Past) -> None:
    past.emptied(window(1, 5))
    past.failed(window(1, 2), remedy=Remedy.BY_HAND, cause=Cause.SCHEMA_DRIFT)
    [emptied] = look(of(engines, past)).attention
    assert (emptied.command or "").startswith("backfill reset ")
    assert (emptied.command or "").endswith(" 2026-01-01..2026-01-05"), "`backfill retry` knows two of them alone"


def test_a_lease_whose_run_died_makes_its_days_look_at_work(engines: Live, ledger: Ledger) -> None:
    hasty = Ledger(ledger._postgres, lease_seconds=0.01)
    dead = Past(hasty)
    hasty.mark_delete_submitted(dead.running(window(1, 3)))
    found = polled(lambda: look(of(engines, dead)), lambda f: counts(f).running == 0)
    assert counts(found) == DayCounts(emptied=3, left=28)


def test_a_cluster_on_which_nothing_may_start_looks_idle(engines: Live, past: Past, ledger: Ledger) -> None:
    write_pause(ledger, "north", why="maintenance of the disks", by_whom="ops")
    try:
        found = look(of(engines, past))
    finally:
        end_pause(ledger, "north")
    assert "maintenance of the disks" in found.clusters[0].diagnosis
    assert [(a.trouble, a.customer) for a in found.attention] == [(Trouble.PAUSED, None)]


def test_a_time_left_is_made_up_where_nothing_was_ever_done(engines: Live, past: Past, ledger: Ledger) -> None:
    quick = Past(ledger, cluster="south")
    quick.recorded(window(1, 21), follow=21.0)
    north, south = look(of(engines, past, quick)).clusters
    assert (north.rows_per_second, north.seconds_left) == (None, None)
    assert south.rows_per_second == pytest.approx(30.0)
    assert south.seconds_left == pytest.approx(10 * 30 / 30 + 1.0)  # ten days, and a window's inspect and delete


# Unknown is not zero.


def test_a_ledger_that_is_away_looks_like_one_in_which_nothing_happened(engines: Live, past: Past) -> None:
    past.recorded(window(1, 10))
    config = of(engines, past).model_copy(update={"ledger": NOBODY})
    found = look(config)
    [row] = found.clusters
    assert (row.days, row.rows, row.seconds_left) == (None, None, None)
    assert row.open_executions is not None
    lines = "\n".join(printed(status_tables(found)))
    assert lines.count("?") >= 9
    assert "127.0.0.1:9" in lines


def test_a_cluster_that_is_away_hides_the_others(engines: Live, past: Past, ledger: Ledger) -> None:
    other = Past(ledger, cluster="south")
    past.recorded(window(1, 10))
    other.recorded(window(1, 5))
    config = of(engines, past, other)
    north, south = config.clusters
    away = north.model_copy(update={"temporal": TemporalAddress(address="127.0.0.1:9")})
    found = look(config.model_copy(update={"clusters": [away, south]}))
    assert [c.open_executions for c in found.clusters] == [None, 0]
    assert (counts(found).done, counts(found, "south").done) == (10, 5)
    assert {(u.system, u.cluster) for u in found.unasked} == {("Temporal", "north"), ("Dagster", None)}


def test_a_system_that_takes_the_call_and_says_nothing_keeps_everybody_waiting(engines: Live, past: Past) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        config = of(engines, past)
        mute = config.clusters[0].model_copy(update={"temporal": TemporalAddress(address=address)})
        begun = datetime.now(UTC)
        found = look(config.model_copy(update={"clusters": [mute]}), dagster=f"http://{address}")
    assert datetime.now(UTC) - begun < timedelta(seconds=15)
    assert {u.system for u in found.unasked} == {"Temporal", "Dagster"}
    assert counts(found).left == 31


def test_nobody_says_that_dagster_was_not_asked(engines: Live, past: Past) -> None:
    [row] = look(of(engines, past)).clusters
    assert (row.queued_runs, row.started_runs) == (None, None)


def test_a_dataset_without_workflows_has_executions_that_nobody_knows(engines: Live, ledger: Ledger) -> None:
    labels = Past(ledger, dataset="labels")
    config = config_of(engines.config, (labels.cluster, labels.customer), datasets=["labels"])
    [north] = config.clusters
    away = north.model_copy(update={"temporal": TemporalAddress(address="127.0.0.1:9")})
    with dagster(answers(sensor=IDLE)) as url:
        found = look(config.model_copy(update={"clusters": [away]}), dagster=url)
    assert found.unasked == ()
    assert (found.clusters[0].open_executions, found.clusters[0].heartbeat_age_seconds) == (0, None)


def test_executions_whose_attempts_nobody_told_are_passed_over(
    engines: Live, past: Past, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger goes away between its two questions."""

    def gone(*_: object) -> dict[str, bool]:
        raise PipelineError("The ledger is away", where="there", why="-", next_step="-", kind=Kind.UNREACHABLE)

    monkeypatch.setattr("backfill_pipeline.operations.status.attempts_known", gone)
    attempt = past.running(window(1, 2))
    started.start("ReindexConversations", an_input(past.customer, "default", window(1, 2), attempt.attempt_id))
    with dagster(answers(sensor=IDLE)) as url:
        found = polled(lambda: look(of(engines, past), dagster=url), lambda f: f.clusters[0].open_executions == 1)
    assert [s.standing for s in found.strangers] == [Standing.UNKNOWN]
    assert [(u.system, u.cluster) for u in found.unasked] == [("ledger of attempts", None)]


# Executions.


def test_an_execution_that_dagster_does_not_know_is_not_shown(engines: Live, past: Past, started: Started) -> None:
    ours, left = past.running(window(1, 3)), past.emptied(window(4, 5))
    days = window(1, 5)
    ids = {
        Standing.FOREIGN: started.start("ReindexConversations", an_input(past.customer, "default", days, str(uuid4()))),
        Standing.LEFT: started.start("ReindexConversations", an_input(past.customer, "default", days, left.attempt_id)),
        Standing.FOLLOWED: started.start(
            "ReindexConversations", an_input(past.customer, "default", days, ours.attempt_id)
        ),
    }
    found = polled(lambda: look(of(engines, past)), lambda f: f.clusters[0].open_executions == 3)
    assert {s.workflow_id: s.standing for s in found.strangers} == {
        i: s for s, i in ids.items() if s is not Standing.FOLLOWED
    }
    assert [r.executions for r in found.running] == [1]
    lines = " ".join(printed(status_tables(found)))
    assert "not known to Dagster" in lines


def test_an_execution_of_another_form_is_nobodys_and_so_nobody_sees_it(
    engines: Live, past: Past, started: Started
) -> None:
    strange = started.start("ReindexConversations", "not an input of ours")
    found = polled(
        lambda: look(of(engines, past), customers_named=False), lambda f: any(s.customer is None for s in f.strangers)
    )
    assert Standing.FOREIGN in [s.standing for s in found.strangers if s.workflow_id == strange]
    assert look(of(engines, past)).strangers == ()


# Days that there are.


def test_a_range_without_a_day_looks_like_nothing_to_do(engines: Live, past: Past) -> None:
    config = of(engines, past)
    for first, last in ((date(2025, 1, 1), date(2025, 2, 1)), (date(2026, 3, 1), None), (*reversed(JANUARY),)):
        with pytest.raises(Refused):
            status(Asked(config, select(config), None, first, last), now=lambda: NOW)


def test_today_is_called_left_although_nobody_may_do_it(engines: Live, past: Past) -> None:
    config = of(engines, past)
    [row] = status(Asked(config, select(config), None), now=lambda: NOW).clusters
    assert (row.first_day, row.last_day) == JANUARY


@pytest.mark.parametrize(
    ("first", "last", "cut"),
    [
        (None, None, ()),
        (*JANUARY, ()),
        (None, NOW.date(), (f"days end yesterday: {NOW.date()} is not over",)),
        (None, date(2027, 1, 1), ("days end yesterday: 2027-01-01 is not over",)),
        (date(2025, 1, 1), None, ("days of north begin at its first_day: 2025-01-01 is before it",)),
    ],
)
def test_days_that_were_asked_for_are_left_out_without_a_word(
    engines: Live, past: Past, first: date | None, last: date | None, cut: tuple[str, ...]
) -> None:
    config = of(engines, past)
    found = status(Asked(config, select(config), None, first, last), now=lambda: NOW)
    assert found.cut == cut
    assert [(c.first_day, c.last_day) for c in found.clusters] == [JANUARY]


# The document.


def test_the_document_changes_behind_the_back_of_who_reads_it(engines: Live, past: Past) -> None:
    schema = json.loads(SCHEMA.read_text())
    assert DOCUMENT.json_schema(mode="serialization") == schema, "write the new one, and tell whoever reads it"
    past.recorded(window(1, 3), bad=[date(2026, 1, 3)])
    past.emptied(window(5, 6))
    past.running(window(8, 9))
    found = look(of(engines, past).model_copy(update={"ledger": engines.config.ledger}))
    for each in (found, look(of(engines, past).model_copy(update={"ledger": NOBODY}))):
        jsonschema.validate(json.loads(document(each)), schema)


def test_two_hundred_and_sixty_customers_take_longer_than_somebody_waits(engines: Live, ledger: Ledger) -> None:
    from benchmarks.status import fill

    config = fill(engines.config, ledger)
    begun, used = time.perf_counter(), time.process_time()
    found = look(config)
    seconds, own = time.perf_counter() - begun, time.process_time() - used
    print(f"status of 260 customers and 31 days: {seconds:.2f} s, {own:.2f} s of them our own")
    assert sum(c.days.done for c in found.clusters if c.days) == 260 * 31
    assert own < 3  # not by the clock: other tests may run beside this one
