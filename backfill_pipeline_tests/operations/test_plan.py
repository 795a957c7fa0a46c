"""`backfill plan` on real systems: what it shows is what a launch does, and it changes nothing."""

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
import psycopg
import pytest
import yaml
from dagster import AssetKey, BackfillPolicy, DailyPartitionsDefinition
from dagster._core.definitions import automation_tick_evaluation_context as dagster_cuts

from backfill_pipeline.config import Config, Replica, Secret, Shard
from backfill_pipeline.defs.ops import job_days_asked
from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.forecast import Forecast
from backfill_pipeline.domain.guards import Approval, approvals
from backfill_pipeline.domain.plans import Claim
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.operations.launch import How
from backfill_pipeline.operations.plan import Wanted, planned, windows_to_run
from backfill_pipeline.operations.select import select
from backfill_pipeline.report.plan import DOCUMENT, document, manifests, statements
from backfill_pipeline.steps import inspect
from backfill_pipeline.steps.dry_run import Before, foresee
from backfill_pipeline.steps.records import Inspection
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.pauses import end_pause, write_pause
from backfill_pipeline.stores.progress import last_marker, ledger_snapshot
from backfill_pipeline_tests.clients.workflows import Started, an_input, polled
from backfill_pipeline_tests.live import Live

SCHEMA = Path(__file__).with_name("plan.schema.json")
FIRST, LAST = date(2026, 1, 1), date(2026, 1, 3)
DAYS = Window(FIRST, LAST + timedelta(days=1))
LEDGER = (
    "ledger.leases",
    "ledger.markers",
    "ledger.step_records",
    "ledger.failed_days",
    "ledger.pauses",
    "audit.attempts",
)
TABLES = ("conversation", "scorecard", "score", "conversation_with_labels")


@pytest.fixture(scope="module", autouse=True)
def data(engines: Live) -> None:
    engines.make_data(size=0.02, days=3)


def foreseen(config: Config, *customers: str, **how: Any) -> Forecast:
    assets = select(config, customers=customers, datasets=how.pop("datasets", ("conversations",)))
    return planned(Wanted(config, assets, FIRST, LAST, **how))


def daily(config: Config, customer: str) -> Config:
    """The same with windows of a day for this customer."""
    clusters = [
        c.model_copy(
            update={
                "customers": [u.model_copy(update={"window_days": 1}) if u.id == customer else u for u in c.customers]
            }
        )
        for c in config.clusters
    ]
    return config.model_copy(update={"clusters": clusters})


def everything(engines: Live, ledger: Ledger) -> list[Any]:
    """Each row of the ledger, its sequence, and each physical row of ClickHouse."""
    with ledger.transaction() as connection:
        rows = [connection.execute(f"SELECT t::text FROM {t} AS t ORDER BY 1".encode()).fetchall() for t in LEDGER]
        rows.append(connection.execute("SELECT last_value FROM ledger.fence").fetchall())
    for cluster in ("north", "south"):
        with engines.systems(cluster) as systems:
            sql = "SELECT count(), sum(cityHash64(*)) FROM {}"
            rows += [s.query(sql.format(t)) for s in systems.clickhouse.shards for t in TABLES]
            rows += [s.query("SELECT count() FROM system.mutations") for s in systems.clickhouse.shards]
    return rows


def inspected(systems: Systems, claim: Claim) -> Inspection:
    seen = inspect.inspect(systems, claim, launched_by="test")
    systems.ledger.mark_ended(seen.attempt)
    systems.ledger.release(claim.attempt_id, seen.attempt.fence)
    return seen


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_launch_does_something_else_than_what_was_shown(engines: Live, dataset: str) -> None:
    claim = engines.claim("north", "acme", DAYS, dataset=dataset)
    small = engines.config.limits.model_copy(update={"max_job_rows": 1})
    with engines.systems("north") as opened:
        systems = replace(opened, limits=small)
        seen = inspected(systems, claim)
        shown = foresee(systems, claim, Before(), marker=seen.attempt.marker)
    assert shown.reasons == ()
    assert shown.plan == seen.plan
    assert len(seen.plan.launches) == 3
    assert (shown.source, shown.target) == (seen.source, seen.target)


def test_the_marker_that_is_shown_lies_below_one_that_was_drawn(engines: Live, ledger: Ledger) -> None:
    with engines.systems("north") as systems:
        drawn = inspected(systems, engines.claim("north", "acme", DAYS)).attempt.marker
    assert engines.config.ledger
    with ledger_snapshot(engines.config.ledger) as snapshot:
        assert snapshot
        assert last_marker(snapshot, engines.claim("north", "acme", DAYS)) == drawn
    [window] = foreseen(engines.config, "acme").windows
    assert window.marker
    assert window.marker > drawn


def test_a_plan_takes_a_lease_or_draws_a_marker_or_deletes(engines: Live, ledger: Ledger) -> None:
    before = everything(engines, ledger)
    found = foreseen(engines.config, datasets=tuple(engines.config.datasets), manifests=True)
    assert everything(engines, ledger) == before
    assert {w.unknown for w in found.windows} == {None}
    assert sum(w.rows or 0 for w in found.windows) > 0


def test_one_refused_window_hides_what_would_be_done_to_the_others(
    engines: Live, ledger: Ledger, started: Started
) -> None:
    config = daily(engines.config, "acme")
    second, third = (Window(d, d + timedelta(days=1)) for d in DAYS.days[1:])
    held, attempt = engines.claim("north", "acme", second), str(uuid4())
    fence = ledger.take(held)
    foreign = started.start("ReindexConversations", an_input("acme", "default", third, attempt))
    try:
        found = polled(lambda: foreseen(config, "acme"), lambda f: bool(f.windows[2].refusals))
    finally:
        ledger.release(held.attempt_id, fence)
    first, at_work, blocked = found.windows
    assert (first.refusals, len(first.jobs), first.goes) == ((), 1, True)
    assert held.run_id in "".join(at_work.refusals)
    assert foreign in "".join(blocked.refusals)
    [cluster] = found.clusters
    assert (cluster.windows, cluster.refused, cluster.rows) == (3, 2, first.rows)
    assert statements(found).count("DELETE FROM") == len(first.deletes)


@pytest.mark.parametrize(("first", "last"), [(date(2025, 12, 31), FIRST), (LAST, date(2100, 1, 2)), (LAST, FIRST)])
def test_days_are_planned_that_a_launch_refuses(engines: Live, first: date, last: date) -> None:
    """Before the cluster's first day, not over yet, or in the wrong order."""
    with pytest.raises(Refused, match=r"no partition|reversed"):
        planned(Wanted(engines.config, select(engines.config), first, last))


def test_nobody_is_told_that_a_launch_would_wait_for_a_paused_cluster(engines: Live, ledger: Ledger) -> None:
    write_pause(ledger, "north", why="its disk is being changed", by_whom="alice")
    try:
        north, south = foreseen(engines.config).clusters
    finally:
        end_pause(ledger, "north")
    assert south.paused is None
    assert north.paused
    assert north.paused.startswith("north is paused by alice since 20")
    assert north.paused.endswith("UTC: its disk is being changed; nothing starts until `backfill resume north`")
    assert foreseen(engines.config).clusters[0].paused is None


def test_a_cluster_that_is_away_hides_the_others_or_counts_as_nothing(engines: Live) -> None:
    north, south = engines.config.clusters
    assert north.clickhouse
    nobody = north.clickhouse.model_copy(update={"shards": [Shard(replicas=[Replica(host="127.0.0.1", port=9)])]})
    away = north.model_copy(update={"clickhouse": nobody})
    found = foreseen(engines.config.model_copy(update={"clusters": [away, south]}))
    sums = {c.cluster: c for c in found.clusters}
    assert (sums["north"].rows, sums["north"].seconds, sums["north"].uncompressed_bytes) == (None, None, None)
    assert sums["south"].rows
    assert [u.cluster for u in found.unasked] == ["north"]
    assert all("127.0.0.1:9" in (w.unknown or "") for w in found.windows if w.cluster == "north")


def test_rows_and_bytes_are_not_those_of_the_source(engines: Live) -> None:
    [window] = foreseen(engines.config, "acme").windows
    with engines.systems("north") as systems:
        seen = inspected(systems, engines.claim("north", "acme", DAYS))
    assert window.rows == sum(t.rows for day in seen.source.values() for t in day.values())
    assert window.rows_now == sum(t.rows for day in seen.target.values() for t in day.values())
    assert window.compressed_bytes
    assert window.uncompressed_bytes
    assert window.uncompressed_bytes > window.rows  # no row is a byte


def test_a_launch_with_the_same_options_is_not_what_is_planned(engines: Live) -> None:
    """What a guard refuses, and in how many Jobs a window is done, depends on them."""
    with psycopg.connect(engines.source_dsn("north")) as source:
        source.execute("DELETE FROM app.chats WHERE customer_id = 'acme' AND started_at < '2026-01-02'")
    [refused] = foreseen(engines.config, "acme").windows
    assert "approved/shrunken_source=true" in refused.refusals[0]
    how = How("somebody", job_days=1, approved=frozenset({Approval.SHRUNKEN_SOURCE}))
    [window] = foreseen(engines.config, "acme", approved=how.approved, job_days=how.job_days).windows
    assert (window.refusals, len(window.jobs)) == ((), 3)
    assert approvals(how.run_tags) == how.approved
    assert job_days_asked(how.run_tags) == 1
    engines.make_data(size=0.02, days=3)


def test_a_manifest_is_not_that_of_the_job_or_tells_a_secret(engines: Live) -> None:
    found = foreseen(engines.config, "acme", manifests=True)
    [job], [shown] = found.windows[0].jobs, list(yaml.safe_load_all(manifests(found)))
    assert (shown["kind"], shown["metadata"]["name"]) == ("Job", job.name)
    [container] = shown["spec"]["template"]["spec"]["containers"]
    env = {e["name"]: e.get("value") for e in container["env"]}
    assert job.env.items() <= env.items()
    assert shown["metadata"]["labels"]["backfill-pipeline/attempt"] == found.windows[0].attempt_id
    passwords = {a.password() for _, a in engines.config.secrets() if isinstance(a, Secret)} - {None, ""}
    assert passwords
    assert not [p for p in passwords if p and p in manifests(found) + document(found)]


@pytest.mark.parametrize("window_days", [1, 7, 10, 31])
@pytest.mark.parametrize("left_out", [(), (2,), (1, 8, 9, 31)])
def test_windows_are_cut_elsewhere_than_dagsters_backfill_cuts_them(
    engines: Live, window_days: int, left_out: tuple[int, ...]
) -> None:
    cluster = engines.config.cluster("north")
    customers = [cluster.customer("acme").model_copy(update={"window_days": window_days})]
    config = engines.config.model_copy(update={"clusters": [cluster.model_copy(update={"customers": customers})]})
    [of] = select(config, datasets=("conversations",))
    days = [date(2026, 1, d) for d in range(1, 32) if d not in left_out]
    wanted = Wanted(config, (of,), days[0], days[-1], days={of: days} if left_out else None)
    ours = [(str(w.days[0]), str(w.days[-1])) for _, w in windows_to_run(wanted, config.clusters[0])]
    requests = dagster_cuts._build_run_requests_with_backfill_policy(
        [AssetKey("of")],
        [],
        BackfillPolicy.multi_run(window_days),
        frozenset(map(str, days)),
        DailyPartitionsDefinition("2026-01-01"),
        {},
        None,
    )  # type: ignore[arg-type]
    start, end = (f"dagster/asset_partition_range_{n}" for n in ("start", "end"))
    assert ours == sorted((r.tags[start], r.tags[end]) for r in requests)


def test_the_document_changes_behind_the_back_of_who_reads_it(engines: Live) -> None:
    schema = json.loads(SCHEMA.read_text())
    assert DOCUMENT.json_schema(mode="serialization") == schema, "write the new one, and tell whoever reads it"
    jsonschema.validate(json.loads(document(foreseen(engines.config, "acme", manifests=True))), schema)
