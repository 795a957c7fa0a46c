"""Process scorecards through Dagster's own daemon, on one shard and on two: each planted defect found and gone."""

from backfill_pipeline_tests.e2e.ui import Ui, key
from backfill_pipeline_tests.live import WHOLE

KINDS = {"missing": "missing", "gone": "extra", "stale": "different", "doubled": "doubled"}


def test_a_planted_defect_of_a_process_scorecard_outlives_its_backfill(pipeline: Ui) -> None:
    planted = pipeline.live.make_data()
    customers = [("north", "acme-east"), ("south", "initech")]
    for cluster, customer in customers:
        found = pipeline.live.differences(cluster, customer, process=True)
        for table in ("scorecard", "score"):
            for kind, seen in KINDS.items():
                expected = planted.ids(kind, table, cluster, customer, dataset="process_scorecards")  # type: ignore[arg-type]
                assert expected <= set(getattr(found.tables[table], seen)), (table, kind)
                assert expected or kind == "stale" or table == "score", (table, kind)
    keys = [key(*c, dataset) for c in customers for dataset in ("conversations", "process_scorecards")]
    pipeline.backfilled([("ready", "north"), ("ready", "south"), *keys], WHOLE)
    for cluster, customer in customers:
        after = pipeline.live.differences(cluster, customer, process=True)
        assert not after, str(after)
        assert after.expected > 0
        process = key(cluster, customer, "process_scorecards")
        for check in ("count_parity", "duplicates", "template_coverage"):
            assert pipeline.verdict(process, check, WHOLE.start) is True, check
