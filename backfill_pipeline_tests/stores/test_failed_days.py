"""Failed days in the ledger: what a state holds comes back, also from a table that an older version made."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count

import psycopg
import pytest

from backfill_pipeline.domain.causes import Remedy
from backfill_pipeline.domain.retries import DayState, Ended, Of, Outcome, Policy, given_up
from backfill_pipeline.stores.failed_days import read_failed_days, write_failed_days
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline_tests.live import Live

AT = datetime(2026, 1, 20, tzinfo=UTC)
DAY = date(2026, 1, 1)
ACME = Of("north", "acme", "conversations")
POLICY = Policy(attempts=5, delay=timedelta(minutes=1))
OLDER = """
CREATE SCHEMA ledger;
CREATE TABLE ledger.failed_days (
    cluster text NOT NULL, customer text NOT NULL, dataset text NOT NULL, day date NOT NULL,
    first_failed_at timestamptz NOT NULL, run_id text NOT NULL, ended text NOT NULL, ended_at timestamptz NOT NULL,
    retry int NOT NULL, job_days int NOT NULL, cause text NOT NULL, remedy text NOT NULL, evidence text NOT NULL,
    kept jsonb NOT NULL, PRIMARY KEY (cluster, customer, dataset, day));
INSERT INTO ledger.failed_days
SELECT 'north', 'acme', 'conversations', day, '2026-01-18Z', 'r', 'failed', '2026-01-20Z', retry, 1, cause, remedy, '', '{}'
FROM (VALUES (date '2026-01-01', 0, 'unreachable', 'wait'), ('2026-01-02', 1, 'unknown', 'once more'),
             ('2026-01-03', 2, 'deadlock', 'again')) AS v (day, retry, cause, remedy);
"""
_numbers = count()


@pytest.fixture
def older(engines: Live) -> Ledger:
    """A ledger that an older version made, in a database of its own."""
    address = engines.config.ledger
    assert address
    name = f"older_{next(_numbers)}"
    at = {"host": address.host, "port": address.port, "user": address.user, "password": address.password()}
    with psycopg.connect(**at, dbname=address.database, autocommit=True) as connection:  # type: ignore[arg-type]
        connection.execute(f"CREATE DATABASE {name}".encode())
    with psycopg.connect(**at, dbname=name, autocommit=True) as connection:  # type: ignore[arg-type]
        connection.execute(OLDER.encode())
    return Ledger(Postgres(address.model_copy(update={"database": name})))


def test_an_update_neither_loses_what_failed_before_nor_judges_it_otherwise(older: Ledger) -> None:
    known = read_failed_days(older)
    said = [given_up(known[ACME, date(2026, 1, n)], POLICY) for n in (1, 2, 3)]
    assert said == ["unreachable for 48 hours", "unknown after 1 retries", None]


def test_what_a_state_holds_comes_back_from_the_ledger(older: Ledger) -> None:
    last = Outcome(
        ACME, (DAY,), "run", Ended.FAILED, AT + timedelta(1), remedy=Remedy.WAIT, whole_window=True, job_days=7
    )
    state = DayState(DAY, AT, last, waiting_since=AT + timedelta(hours=3), unknown=2)
    write_failed_days(older, [state])
    assert read_failed_days(older)[ACME, DAY] == state
    newer = replace(state, last=replace(last, ended_at=last.ended_at + timedelta(1)), waiting_since=None, unknown=3)
    write_failed_days(older, [newer])
    assert read_failed_days(older)[ACME, DAY] == newer
