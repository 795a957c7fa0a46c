"""Markers, emptied windows, step records and the audit, on a real PostgreSQL."""

import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from itertools import pairwise

import pytest

from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.domain.plans import Attempt
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline_tests.live import Live
from backfill_pipeline_tests.stores.claims import NOW, SKEW, claim, draw, emptied, new_customer, window


def windows_emptied(ledger: Ledger, customer: str) -> list[tuple[Window, str]]:
    return [(e.window, e.attempt_id) for e in ledger.emptied() if e.customer == customer]


@pytest.fixture
def postgres(engines: Live) -> Postgres:
    assert engines.config.ledger
    return Postgres(engines.config.ledger)


def test_d1_two_attempts_never_share_a_marker_though_the_clock_stands_still_or_goes_back(ledger: Ledger) -> None:
    customer = new_customer()
    attempts = [
        draw(ledger, claim(customer, 1, 4)),
        draw(ledger, claim(customer, 4, 8)),
        draw(ledger, claim(customer, 1, 4, dataset="process_scorecards")),
        draw(ledger, claim(customer, 8, 9), NOW - timedelta(days=1)),
    ]
    markers = [a.marker for a in attempts]
    assert markers[0] == NOW - SKEW
    assert all(b - a >= timedelta(microseconds=1000) for a, b in pairwise(markers))


def test_a_marker_above_the_servers_clock_minus_skew_would_delete_live_rows(ledger: Ledger) -> None:
    customer = new_customer()
    draw(ledger, claim(customer))
    later = NOW + timedelta(hours=1)
    assert draw(ledger, claim(customer, 10, 11), later).marker == later - SKEW


def test_a_repeated_step_draws_the_same_marker_or_its_own_rows_would_be_deleted(ledger: Ledger) -> None:
    mine = claim(new_customer())
    first = draw(ledger, mine)
    again = draw(ledger, mine, NOW + timedelta(hours=1))
    assert again.marker == first.marker
    assert again.attempt_id == first.attempt_id


def test_a_marker_finer_than_the_version_column_would_let_an_attempt_delete_its_own_rows(ledger: Ledger) -> None:
    customer = new_customer()
    markers = [draw(ledger, claim(customer, day, day + 1), scale=3).marker for day in (1, 2)]
    assert [m.microsecond % 1000 for m in markers] == [0, 0]
    assert markers[1] - markers[0] >= timedelta(milliseconds=1)


def test_d15_an_emptied_window_is_listed_until_a_closed_attempt_covers_each_of_its_days(ledger: Ledger) -> None:
    customer = new_customer()
    failed = emptied(ledger, claim(customer, 1, 10))
    assert windows_emptied(ledger, customer) == [(window(1, 10), failed.attempt_id)]
    later = emptied(ledger, claim(customer, 4, 6))
    both = [(window(1, 10), failed.attempt_id), (window(4, 6), later.attempt_id)]
    assert windows_emptied(ledger, customer) == both
    ledger.close(later)
    left = [(window(1, 4), failed.attempt_id), (window(6, 10), failed.attempt_id)]
    assert windows_emptied(ledger, customer) == left
    ledger.close(emptied(ledger, claim(customer, 1, 10)))
    assert windows_emptied(ledger, customer) == []


def test_d15_a_day_whose_rows_the_verdict_did_not_find_is_emptied_until_the_next_one_finds_them(ledger: Ledger) -> None:
    customer, lost = new_customer(), date(2026, 1, 2)
    first = emptied(ledger, claim(customer))
    ledger.close(first, left_empty=[lost])
    assert windows_emptied(ledger, customer) == [(window(2, 3), first.attempt_id)]
    again = emptied(ledger, claim(customer, 2, 3))
    ledger.close(again, left_empty=[lost])
    assert windows_emptied(ledger, customer) == [(window(2, 3), again.attempt_id)], "told once, of the newest"
    ledger.close(emptied(ledger, claim(customer, 2, 3)))
    assert windows_emptied(ledger, customer) == []


def test_d15_a_verdict_from_before_the_delete_does_not_hide_the_emptied_window(ledger: Ledger) -> None:
    customer = new_customer()
    ledger.close(emptied(ledger, claim(customer)))
    failed = emptied(ledger, claim(customer))
    assert windows_emptied(ledger, customer) == [(window(1, 4), failed.attempt_id)]


def test_d15_an_attempt_without_a_delete_empties_nothing_and_another_dataset_closes_nothing(ledger: Ledger) -> None:
    customer = new_customer()
    failed = emptied(ledger, claim(customer))
    ledger.close(emptied(ledger, claim(customer, dataset="process_scorecards")))
    draw(ledger, claim(customer, 20, 22))
    assert windows_emptied(ledger, customer) == [(window(1, 4), failed.attempt_id)]


def test_what_a_dead_attempt_left_at_work_is_found_by_whoever_overlaps_it(ledger: Ledger) -> None:
    customer = new_customer()
    dead, ended = emptied(ledger, claim(customer, 1, 5)), emptied(ledger, claim(customer, 1, 5))
    ledger.mark_ended(ended)
    assert [a.attempt_id for a in ledger.unended(claim(customer, 4, 9))] == [dead.attempt_id]
    assert ledger.unended(claim(customer, 5, 9)) == ()
    assert ledger.unended(claim(f"{customer}-east", 1, 9)) == ()


def test_t3_an_attempt_that_may_have_left_a_transfer_at_work_counts_as_ended_only_when_that_is_over(
    ledger: Ledger,
) -> None:
    customer = new_customer()
    attempt = emptied(ledger, claim(customer))
    ledger.mark_ended(attempt, after_seconds=1)
    assert [a.attempt_id for a in ledger.unended(claim(customer))] == [attempt.attempt_id]
    time.sleep(1.1)
    assert ledger.unended(claim(customer)) == ()
    waited_for = emptied(ledger, claim(customer))
    ledger.mark_ended(waited_for, after_seconds=60)
    ledger.mark_ended(waited_for)
    assert ledger.unended(claim(customer)) == (), "whoever has waited says so"


def audited(ledger: Ledger) -> tuple[Attempt, str]:
    attempt = draw(ledger, claim(new_customer()))
    return attempt, ledger.audit(attempt, "done", "test", {"days": {"2026-01-01": "MATCH"}})


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit.attempts SET outcome = 'done'",
        "DELETE FROM audit.attempts WHERE attempt_id = %(id)s",
        "TRUNCATE audit.attempts",
    ],
)
def test_history_can_not_be_rewritten_by_a_statement(ledger: Ledger, postgres: Postgres, tampering: str) -> None:
    attempt, _ = audited(ledger)
    with pytest.raises(PipelineError, match="insert-only"), postgres.connection() as connection:
        connection.execute(tampering.encode(), {"id": attempt.attempt_id} if "%(id)s" in tampering else None)


def test_a_second_verdict_of_an_attempt_neither_replaces_the_first_nor_its_hash(ledger: Ledger) -> None:
    attempt, digest = audited(ledger)
    assert ledger.audit(attempt, "failed", "somebody", {"error": "late"}) == digest


def test_a_row_changed_behind_our_back_no_longer_fits_its_hash(ledger: Ledger, postgres: Postgres) -> None:
    attempt, digest = audited(ledger)
    row = audit_row(postgres, attempt)
    assert hash_of(row) == digest
    assert hash_of({**row, "outcome": "partly"}) != digest


def audit_row(postgres: Postgres, attempt: Attempt) -> dict[str, object]:
    columns = "attempt_id, run_id, cluster, customer, dataset, marker, start_day, end_day, outcome, launched_by, proof"
    with postgres.connection() as connection:
        sql = f"SELECT {columns} FROM audit.attempts WHERE attempt_id = %s"
        found = connection.execute(sql.encode(), [attempt.attempt_id]).fetchone()
    assert found
    return dict(zip(columns.split(", "), found, strict=True))


def hash_of(row: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(row, sort_keys=True, default=str).encode()).hexdigest()


def test_a_step_record_written_again_is_the_newest_and_an_unwritten_one_is_nothing(ledger: Ledger) -> None:
    run = new_customer()
    ledger.write_step(run, "inspect", '{"a": "it\'s; -- 🙂"}')
    ledger.write_step(run, "inspect", '{"a": 2}')
    assert json.loads(ledger.read_step(run, "inspect") or "") == {"a": 2}
    assert ledger.read_step(run, "delete") is None


ODD = "bad\0byte, half \udcff of a pair"
KEPT = "bad\ufffdbyte, half \ufffd of a pair"


def test_a_record_is_lost_for_how_a_job_said_why_it_failed(ledger: Ledger) -> None:
    run = new_customer()
    ledger.write_step(run, "follow", json.dumps({"problems": [ODD, r"C:\u0000"], ODD: {"seconds": 0.1}}))
    kept = json.loads(ledger.read_step(run, "follow") or "")
    assert kept == {"problems": [KEPT, r"C:\u0000"], KEPT: {"seconds": 0.1}}


def test_history_lacks_an_attempt_for_how_its_failure_was_told_or_has_it_under_a_hash_that_does_not_fit(
    ledger: Ledger, postgres: Postgres
) -> None:
    attempt = draw(ledger, claim(new_customer()))
    digest = ledger.audit(attempt, "failed", ODD, {"error": ODD, "said": [ODD]})
    row = audit_row(postgres, attempt)
    assert (row["launched_by"], row["proof"]) == (KEPT, {"error": KEPT, "said": [KEPT]})
    assert hash_of(row) == digest


def test_two_processes_that_create_the_schema_at_once_do_not_collide(engines: Live) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: open_ledger(engines.config).ensure_schema(), range(12)))


def test_p1_a_ledger_that_is_away_is_named_with_its_address(engines: Live) -> None:
    assert engines.config.ledger
    away = Ledger(Postgres(engines.config.ledger.model_copy(update={"port": 9})))
    with pytest.raises(PipelineError, match=r"127\.0\.0\.1:9/ledger"):
        away.take(claim(new_customer()))
