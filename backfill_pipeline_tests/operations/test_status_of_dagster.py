"""What `backfill status` is told by Dagster: what was launched and has not begun, what ends, whether anything is retried."""

from datetime import timedelta

import pytest

from backfill_pipeline.domain.status import Status, Trouble
from backfill_pipeline.report.status import status_tables
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline_tests.live import Live
from backfill_pipeline_tests.operations.dagster_standin import a_backfill, a_run, answers, dagster
from backfill_pipeline_tests.operations.past import NOW, Past, config_of, look, window
from backfill_pipeline_tests.report.printing import printed

GATE = ["ready", "north"]
FINE = {"status": "RUNNING", "ticks": [{"status": "SKIPPED", "timestamp": NOW.timestamp(), "error": None}]}


@pytest.fixture
def past(ledger: Ledger) -> Past:
    return Past(ledger)


def seen(engines: Live, past: Past, **told: object) -> Status:
    with dagster(answers(**{"sensor": FINE, **told})) as url:  # type: ignore[arg-type]
        return look(config_of(engines.config, (past.cluster, past.customer)), dagster=url)


def lines(found: Status) -> str:
    return "\n".join(printed(status_tables(found)))


def failed_tick(seconds: float) -> dict[str, object]:
    error = {
        "message": "SensorExecutionError: Error occurred",
        "causes": [{"message": "OperationalError: away\nstack"}],
    }
    return {"status": "FAILURE", "timestamp": NOW.timestamp() + seconds, "error": error}


def test_days_are_promised_again_while_every_tick_of_the_sensor_fails(engines: Live, past: Past) -> None:
    past.failed(window(1, 2))
    found = seen(engines, past, sensor={"status": "RUNNING", "ticks": [failed_tick(10), failed_tick(-20)]})
    assert [a.trouble for a in found.attention] == [Trouble.RETRIES, Trouble.FAILED]
    assert (found.attention[0].cluster, found.unasked) == (None, ())
    assert found.attention[0].why.startswith(
        "the last 2 ticks failed since 2026-02-01 11:59:40 UTC: OperationalError: away; until"
    )
    assert "retries every cluster" in lines(found)


def test_a_sensor_that_is_off_or_not_there_looks_well(engines: Live, past: Past) -> None:
    off, gone = seen(engines, past, sensor={**FINE, "status": "STOPPED"}), seen(engines, past, sensor=None)
    assert "turned off" in off.attention[0].why
    assert "no sensor" in gone.attention[0].why


def test_a_sensor_that_works_needs_somebody(engines: Live, past: Past) -> None:
    found = seen(engines, past)
    assert (found.attention, found.launched, found.unasked) == ((), (), ())


def test_a_dagster_that_is_away_is_told_once_for_each_question(engines: Live, past: Past) -> None:
    found = look(config_of(engines.config, (past.cluster, past.customer)), dagster="http://127.0.0.1:9")
    assert [u.system for u in found.unasked] == ["Dagster"]
    assert found.attention == (), "nobody knows whether the sensor works"


def test_what_was_launched_and_has_no_run_yet_is_nowhere(engines: Live, past: Past) -> None:
    mine = ["conversations", past.cluster, past.customer]
    at = (NOW - timedelta(seconds=5)).timestamp()
    backfills = [
        a_backfill("fresh", GATE, mine, at=at),
        a_backfill("at-its-gate", GATE, mine, newest=GATE, at=at),
        a_backfill("begun", GATE, mine, newest=mine, at=at),
        a_backfill("of-somebody-else", GATE, ["conversations", "north", "somebody"], at=at),
    ]
    found = seen(engines, past, backfills=backfills)
    assert [(b.backfill_id, b.days) for b in found.launched] == [("fresh", 10), ("at-its-gate", 10)]
    assert "launched, no run yet: backfill fresh (10 days of 1 asset), 35s ago" in lines(found)


def test_runs_that_wait_or_end_are_not_told_from_those_that_work(engines: Live, past: Past) -> None:
    mine = ("conversations", past.cluster, past.customer)
    attempt = past.running(window(1, 3))
    found = seen(engines, past, runs=[a_run("q", "QUEUED", *mine), a_run(attempt.run_id, "CANCELING", *mine)])
    assert (found.clusters[0].queued_runs, found.clusters[0].started_runs) == (1, 1)
    assert [r.is_ending for r in found.running] == [True]
    header = next(line for line in lines(found).splitlines() if line.startswith("cluster"))
    row = next(line for line in lines(found).splitlines() if line.startswith("north"))
    assert row.split()[header.split().index("wait")] == "1"
    assert "2026-01-01..2026-01-03, ending" in lines(found)
