"""A partition backfill through Dagster's own daemon and queue, launched as the UI does it; and the three kinds of rerun."""

from datetime import date

import dagster as dg

from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.windows import Window
from backfill_pipeline_tests.e2e.planted import (
    assert_conversation_defects_found,
    assert_label_defects_found,
    assert_process_defects_found,
)
from backfill_pipeline_tests.e2e.rogue import rogue_writer
from backfill_pipeline_tests.e2e.ui import Ui, key
from backfill_pipeline_tests.live import WHOLE

GATES = [("ready", "north"), ("ready", "south")]
ALONE = ("north", "acme")  # conversations alone, and a writer that spoils a day of them
WITH_ALL = [("north", "acme-east"), ("south", "initech")]  # one shard and two, all datasets
ALL_STEPS = {"inspect", "delete", "launch", "follow", "record"}
BAD_DAY = date(2026, 1, 3)


def test_planted_defects_are_found_before_and_gone_after_and_each_asset_has_a_run_of_its_own(pipeline: Ui) -> None:
    # 86 customers in one run would be rebuilt one after another by one process (dagster-facts, trap 7).
    planted = pipeline.live.make_data()
    for cluster, customer in [ALONE, *WITH_ALL]:
        assert_conversation_defects_found(planted, pipeline.live.differences(cluster, customer), cluster, customer)
    for cluster, customer in WITH_ALL:
        found = pipeline.live.differences(cluster, customer, process=True, labels=True)
        assert_process_defects_found(planted, found, cluster, customer)
        assert_label_defects_found(planted, found, cluster, customer)

    whole = [key(*c, dataset) for c in WITH_ALL for dataset in DATASETS]
    with rogue_writer(pipeline.live, *ALONE, BAD_DAY):
        state = pipeline.backfilled([*GATES, key(*ALONE), *whole], WHOLE)

    by_asset = _runs_by_asset(pipeline, list(state.runs))
    assert sorted(by_asset) == sorted([*map("/".join, [key(*ALONE), *whole]), "ready/north+ready/south"])
    for asset in whole:
        run_id = by_asset["/".join(asset)]
        assert pipeline.materialized_by(run_id) == [str(d) for d in WHOLE.days]
        # Told one by one, a tick of the daemon in between launched the labels of three days, then those of seven.
        assert pipeline.inserts_of(run_id) == 1
        for check in DATASETS[asset[0]].checks:
            assert pipeline.verdict(asset, check, WHOLE.start) is True, (asset, check)
    for cluster, customer in WITH_ALL:
        after = pipeline.live.differences(cluster, customer, process=True, labels=True)
        assert not after, str(after)
        assert after.expected > 0

    _one_bad_day_of_ten(pipeline, state.backfill_id, by_asset["/".join(key(*ALONE))])


def _one_bad_day_of_ten(ui: Ui, backfill_id: str, run_id: str) -> None:
    """S5, dagster-facts 9 and 10: the bad day alone failed, both checks spoke, and only true reruns turn it green."""
    acme = key(*ALONE)
    good = [str(d) for d in WHOLE.days if d != BAD_DAY]
    assert ui.materialized_by(run_id) == good
    assert ui.run_over(run_id) is dg.DagsterRunStatus.FAILURE
    assert not ui.runs(**{"backfill/retry_of": run_id}), (
        "the retry sensor is off here; a retry's days are shown as MATERIALIZING"
    )
    assert ui.failed_partitions(acme) == [str(BAD_DAY)]
    assert ui.verdict(acme, "count_parity", BAD_DAY) is False
    assert ui.verdict(acme, "count_parity", date(2026, 1, 4)) is True
    assert ui.verdict(acme, "duplicates", date(2026, 1, 4)) is True

    repeated = ui.rerun_from_failure_on_run_page(run_id)
    assert ui.run_over(repeated) is dg.DagsterRunStatus.FAILURE
    assert "re-execute from failure" in ui.failure_text(repeated)
    assert "failed partitions" in ui.failure_text(repeated)
    assert ui.materialized_by(repeated) == []

    again = ui.over(ui.client.reexecute_failed(backfill_id))
    (rerun,) = again.runs
    assert ui.materialized_by(rerun) == [str(BAD_DAY)]
    assert ui.steps_of(rerun) >= ALL_STEPS
    assert not ui.live.differences(*ALONE)


def test_failed_partitions_of_the_asset_are_done_again_and_no_other_day(pipeline: Ui) -> None:
    pipeline.live.make_data()
    asset, bad = key("south", "initech"), date(2026, 1, 5)
    with rogue_writer(pipeline.live, "south", "initech", bad):
        state = pipeline.backfilled([asset], Window(date(2026, 1, 4), date(2026, 1, 7)))
    failed = pipeline.failed_partitions(asset)
    assert failed == [str(bad)], pipeline.failure_text(*state.runs)

    state = pipeline.backfilled([asset], Window(bad, date(2026, 1, 6)))
    (run,) = state.runs
    assert pipeline.materialized_by(run) == failed
    assert pipeline.steps_of(run) >= ALL_STEPS
    assert pipeline.failed_partitions(asset) == []
    assert not pipeline.live.wrong_rows("south", "initech", Window(date(2026, 1, 4), date(2026, 1, 7)))


def _runs_by_asset(ui: Ui, run_ids: list[str]) -> dict[str, str]:
    with ui.instance() as instance:
        runs = [instance.get_run_by_id(r) for r in run_ids]
    return {"+".join(sorted(k.to_user_string() for k in r.asset_selection or ())): r.run_id for r in runs if r}
