"""What an operator sees of a cluster's health: the gate's metadata, and the tag of a run that waits."""

from typing import Any

import dagster as dg

from backfill_pipeline.config import Config
from backfill_pipeline.defs.assets import build, ready_key
from backfill_pipeline.defs.health import WAITS_TAG, health_table, in_tag
from backfill_pipeline.defs.resources import Pipeline
from backfill_pipeline.domain.health import Reading, Signal, judge
from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.pauses import end_pause, write_pause
from backfill_pipeline_tests.live import Live

DAY = "2026-01-01"


def passed(config: Config, instance: dg.DagsterInstance) -> dict[str, Any]:
    """The gate of `north`, as a run of its own; its metadata."""
    open_ledger(config).ensure_schema()
    gate = build(config).assets[0]
    assert isinstance(gate, dg.AssetsDefinition)
    assert gate.key == ready_key("north")
    resources = {"pipeline": Pipeline(config)}
    result = dg.materialize([gate], partition_key=DAY, resources=resources, instance=instance)
    assert result.success
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def warnings(instance: dg.DagsterInstance) -> list[str]:
    (run,) = instance.get_runs()
    return [e.user_message for e in instance.all_logs(run.run_id) if e.level == 30]


def with_memory(live: Live, most: float) -> Config:
    limits = live.config.health.model_copy(update={"clickhouse_memory_ratio": most})
    return live.config.model_copy(update={"health": limits})


def test_the_gate_shows_every_signal_with_its_threshold(engines: Live) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        metadata = passed(engines.config, instance)
        assert warnings(instance) == []
    assert metadata["reasons to wait"] == []
    assert all(f"(`{s}`)" in metadata["health"] for s in Signal)
    assert "| sessions that wait for a lock (`postgres_waiting_locks`) | PostgreSQL postgresql:" in metadata["health"]
    assert " | 0 | 5 |\n" in metadata["health"]


def test_a_busy_minute_does_not_fail_the_gate_and_with_it_a_whole_backfill(engines: Live) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        metadata = passed(with_memory(engines, 0), instance)
        (warning,) = warnings(instance)
    (reason,) = metadata["reasons to wait"]
    assert reason.endswith("above 0 [health.clickhouse_memory_ratio]")
    assert warning == f"runs will wait before their deletes: {reason}"


def test_the_gate_of_a_paused_cluster_says_who_paused_it_and_why(engines: Live) -> None:
    ledger = open_ledger(engines.config)
    write_pause(ledger, "north", why="its disk is being changed", by_whom="alice")
    try:
        with dg.DagsterInstance.ephemeral() as instance:
            (reason,) = passed(engines.config, instance)["reasons to wait"]
    finally:
        end_pause(ledger, "north")
    assert reason.startswith("north is paused by alice")
    assert "its disk is being changed" in reason


def test_an_unknown_signal_never_looks_like_zero_and_one_that_is_not_judged_says_so() -> None:
    signals = (Reading(Signal.MEMORY, "c", None, "forbidden"), Reading(Signal.PARTS, "c", 1234.0))
    table = health_table(judge(signals, {Signal.MEMORY: 0.9, Signal.PARTS: None}))
    assert "| c | unknown | 0.9 |" in table
    assert "| c | 1,234 | not judged |" in table


def test_a_run_that_went_on_does_not_look_as_if_it_waited_still() -> None:
    @dg.op
    def waits(context: dg.OpExecutionContext) -> None:
        in_tag(context)("a lock, " * 100)
        assert context.instance.get_run_by_id(context.run_id).tags[WAITS_TAG].startswith("a lock, a lock")  # type: ignore[union-attr]
        in_tag(context)("no longer")

    @dg.job
    def job() -> None:
        waits()

    with dg.DagsterInstance.ephemeral() as instance:
        run_id = job.execute_in_process(instance=instance).run_id
        run = instance.get_run_by_id(run_id)
    assert run
    assert run.tags[WAITS_TAG] == "no longer"
