"""Pausing and resuming a cluster from Dagster's Launchpad, for whoever has no terminal."""

import dagster as dg
import pytest

from backfill_pipeline.definitions import definitions_of
from backfill_pipeline.domain.naming import cluster_pool
from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.pauses import paused_clusters, read_pauses
from backfill_pipeline_tests.live import Live


def test_a_pause_from_the_ui_takes_the_clusters_slots_and_a_resume_gives_them_back(engines: Live) -> None:
    repository = definitions_of(engines.config).get_repository_def()
    ledger, pool = open_ledger(engines.config), cluster_pool("north")
    with dg.instance_for_test() as instance:

        def ran(job: str, op: str, **config: str) -> int | None:
            done = repository.get_job(job).execute_in_process(
                run_config={"ops": {op: {"config": config}}}, instance=instance
            )
            assert done.success
            return instance.event_log_storage.get_concurrency_info(pool).slot_count

        assert ran("pause_cluster", "pause", cluster="north", why="its disk is being changed") == 0
        assert paused_clusters(ledger) == {"north"}
        assert read_pauses(ledger)["north"].why == "its disk is being changed"
        assert ran("resume_cluster", "resume", cluster="north") == engines.config.cluster("north").max_runs
    assert paused_clusters(ledger) == frozenset()


def test_a_cluster_that_nobody_knows_is_not_paused(engines: Live) -> None:
    repository = definitions_of(engines.config).get_repository_def()
    config = {"ops": {"pause": {"config": {"cluster": "nowhere", "why": "-"}}}}
    with dg.instance_for_test() as instance, pytest.raises(Exception, match="Unknown cluster"):
        repository.get_job("pause_cluster").execute_in_process(run_config=config, instance=instance)
    assert paused_clusters(open_ledger(engines.config)) == frozenset()
