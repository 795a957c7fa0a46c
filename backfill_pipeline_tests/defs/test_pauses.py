"""Pausing and resuming a cluster from Dagster's Launchpad, for whoever has no terminal."""

import sys

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from backfill_pipeline.definitions import definitions_of
from backfill_pipeline.domain.naming import cluster_pool
from backfill_pipeline.stack import prepare
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
        with pytest.raises(dg.Failure, match=r"its disk is being changed; .* this reason is kept nowhere"):
            ran("pause_cluster", "pause", cluster="north", why="an upgrade")
        assert ran("resume_cluster", "resume", cluster="north") == engines.config.cluster("north").max_runs
    assert paused_clusters(ledger) == frozenset()


def test_a_cluster_that_nobody_knows_is_not_paused(engines: Live) -> None:
    repository = definitions_of(engines.config).get_repository_def()
    config = {"ops": {"pause": {"config": {"cluster": "nowhere", "why": "-"}}}}
    with dg.instance_for_test() as instance, pytest.raises(Exception, match="Unknown cluster"):
        repository.get_job("pause_cluster").execute_in_process(run_config=config, instance=instance)
    assert paused_clusters(open_ledger(engines.config)) == frozenset()


@pytest.mark.parametrize("own", [False, True])
def test_only_a_dagster_of_our_own_has_its_runs_without_a_process_ended(
    engines: Live, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    """Elsewhere they may be somebody else's, at work on another machine."""
    monkeypatch.setenv("BACKFILL_CONFIG", str(engines.state.config_path))
    monkeypatch.setattr(sys, "argv", ["prepare", *(["--own"] if own else [])])
    with dg.instance_for_test() as instance:
        run = create_run_for_test(instance, job_name="somebody_elses", status=dg.DagsterRunStatus.STARTED)
        prepare.main()
        found = instance.get_run_by_id(run.run_id)
        assert found
        assert found.status.value == ("FAILURE" if own else "STARTED")
        assert instance.event_log_storage.get_concurrency_info(cluster_pool("north")).slot_count
