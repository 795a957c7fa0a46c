"""The cron task `label-conversations` as a process, and what it takes for an order."""

import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.domain.contracts import Labelled, labelled_from_line
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.reach import TemporalAddress
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.worker.tasks.label_order import LabelOrder, is_enabled, label_order_from
from backfill_pipeline_tests.domain.strategies import ids
from backfill_pipeline_tests.worker import cluster, people
from backfill_pipeline_tests.worker.servers import wait_until
from backfill_pipeline_tests.worker.targets import rows

PREFIX = "LABEL_CONVERSATIONS_WITH_AGENT_ASSISTANCE"
ENABLED = f"ENABLE_{PREFIX}"
REACH, START, END = (
    f"{PREFIX}_CONV_START_AT_RANGE_START",
    f"{PREFIX}_CONV_END_AT_RANGE_START",
    f"{PREFIX}_CONV_END_AT_RANGE_END",
)
BATCH, CUSTOMER = f"{PREFIX}_BATCH_SIZE", f"FILTER_CUSTOMER_IN_{PREFIX}"
NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
WINDOW = {ENABLED: "true", REACH: "2026-01-14T00:00:00Z", START: "2026-01-15T00:00:00Z", END: "2026-01-18T00:00:00Z"}
NOWHERE = TemporalAddress(address="127.0.0.1:1")  # labels have nothing to ask it
COMMAND = [sys.executable, "-m", "backfill_pipeline.worker.tasks.label_conversations"]


def run(config: Path, env: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    given = cluster.environment(config, **env)
    return subprocess.run(COMMAND, env=given, capture_output=True, text=True, timeout=90)


@pytest.fixture
def config(tmp_path: Path, source: PostgresAddress, target: ClickHouse) -> Path:
    return cluster.write_config(tmp_path, NOWHERE, source, target.address)


def order(**env: str) -> LabelOrder:
    return label_order_from({**WINDOW, **env}, NOW)


def test_the_range_by_default_is_the_last_day_and_a_batch_a_day() -> None:
    found = label_order_from({}, NOW)
    day = timedelta(hours=24)
    assert (found.reach, found.start, found.end, found.batch) == (NOW - day, NOW - day, NOW, day)
    assert (found.customer, found.marker) == (None, None)


def test_without_our_own_bound_the_range_is_the_contracts() -> None:
    found = label_order_from({k: v for k, v in WINDOW.items() if k != START}, NOW)
    assert found.start == found.reach == datetime(2026, 1, 14, tzinfo=UTC)


@pytest.mark.parametrize(("text", "hours"), [("24h", 24), ("36h", 36), ("90m", 1.5), ("1h30m", 1.5)])
def test_a_batch_is_a_go_duration(text: str, hours: float) -> None:
    assert order(**{BATCH: text}).batch == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        (REACH, "2026-01-15"),
        (REACH, "2026-01-18T00:00:00Z"),
        (START, "2026-01-18T00:00:00Z"),
        (START, "yesterday"),
        (END, "2026-01-15T00:00:00"),
        (BATCH, "24"),
        (BATCH, "0h"),
        (BATCH, "-1h"),
        (CUSTOMER, ""),
        (CUSTOMER, "acme,globex"),
        ("REINDEX_MARKER", "now"),
    ],
)
def test_what_can_not_be_used_is_refused_by_the_name_of_its_variable(variable: str, value: str) -> None:
    with pytest.raises(Refused, match=variable):
        order(**{variable: value})


@pytest.mark.parametrize("value", ["", "yes", "TRUE"])
def test_a_switch_that_says_neither_is_refused(value: str) -> None:
    with pytest.raises(Refused, match=ENABLED):
        is_enabled({ENABLED: value})


@given(st.integers(1, 400), st.integers(1, 100))
def test_batches_tile_the_range_with_neither_gap_nor_overlap(hours: int, batch: int) -> None:
    start = NOW - timedelta(hours=hours)
    found = list(LabelOrder(start, start, NOW, timedelta(hours=batch), None, None).batches())
    assert (found[0][0], found[-1][1]) == (start, NOW)
    assert all(one[1] == other[0] for one, other in pairwise(found))
    assert all(end - begin <= timedelta(hours=batch) for begin, end in found)


@given(ids, ids, st.integers(0, 10**12), st.integers(0, 10**12))
def test_progress_is_not_lost_on_its_way_through_the_log(customer: str, profile: str, done: int, total: int) -> None:
    labelled = Labelled(customer, profile, done, total)
    assert labelled_from_line(f"2026-01-15T00:00:00Z INFO {labelled.log_line()}") == labelled


def test_every_profile_of_the_one_customer_is_labelled_in_batches(
    config: Path, source: PostgresAddress, target: ClickHouse
) -> None:
    for customer, profile in (("acme", "default"), ("globex", "default"), ("globex", "emea")):
        people.fill(source, customer, profile, count=12, days=3)
    done = run(config, {**WINDOW, CUSTOMER: "globex", BATCH: "7h"})
    assert done.returncode == 0, done.stderr
    found = rows(target, "SELECT customer_id, profile_id, count() FROM conversation_with_labels GROUP BY 1, 2")
    ended = 12  # all end a day after the range's start
    assert sorted(found) == [("globex", "default", ended), ("globex", "emea", ended)]
    lines = [line for line in map(labelled_from_line, done.stdout.splitlines()) if line]
    assert {(line.customer, line.profile) for line in lines} == {("globex", "default"), ("globex", "emea")}
    assert (lines[-1].done, lines[-1].total) == (12, 12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (BATCH, "99999999999999h"),
        (BATCH, "9" * 400 + "h"),
        (BATCH, "1us"),
        (BATCH, "1d"),
        (END, "0001-01-01T00:00:00Z"),
    ],
)
def test_a_value_that_nobody_can_hold_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(Refused, match=name):
        label_order_from({name: value}, NOW)


def test_what_is_switched_off_does_nothing_and_says_so(
    config: Path, source: PostgresAddress, target: ClickHouse
) -> None:
    people.fill(source, count=12)
    done = run(config, {**WINDOW, ENABLED: "false"})
    assert (done.returncode, done.stdout) == (0, f"{ENABLED} is false: nothing was labelled\n")
    assert rows(target, "SELECT count() FROM conversation_with_labels") == [(0,)]


@pytest.mark.parametrize(
    ("env", "named"),
    [({CUSTOMER: "nobody"}, "nobody"), ({END: "x"}, END), ({"BACKFILL_CLUSTER": ""}, "BACKFILL_CLUSTER")],
)
def test_bad_input_ends_with_2_before_anything_is_written(config: Path, env: dict[str, str], named: str) -> None:
    done = run(config, {**WINDOW, **env})
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_column_is_named_and_ends_with_1(config: Path, source: PostgresAddress) -> None:
    people.fill(source, count=12)
    with Postgres(source).connection() as connection:
        connection.execute("ALTER TABLE app.agent_assist_events DROP COLUMN kind")
    done = run(config, WINDOW)
    assert done.returncode == 1
    assert "kind" in done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_ends_it_between_two_inserts(config: Path, source: PostgresAddress) -> None:
    people.fill(source, count=12)
    with Postgres(source).connection() as held:
        held.execute("BEGIN")
        held.execute("LOCK TABLE app.agent_assist_events IN ACCESS EXCLUSIVE MODE")
        process = subprocess.Popen(
            COMMAND, env=cluster.environment(config, **WINDOW), stderr=subprocess.PIPE, text=True
        )
        try:
            wait_until(lambda: waits(source), "a read", 60)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    assert "Ended by SIGTERM" in errors


def waits(source: PostgresAddress) -> bool:
    with Postgres(source).connection() as connection:
        sql = b"SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return bool(connection.execute(sql).fetchall())
