"""Process scorecards and labels through Dagster's own daemon, on one shard and on two: each planted defect found and gone."""

from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.stack.demo_data import Planted
from backfill_pipeline_tests.e2e.compare import Differences
from backfill_pipeline_tests.e2e.ui import Ui, key
from backfill_pipeline_tests.live import WHOLE

CUSTOMERS = [("north", "acme-east"), ("south", "initech")]
PROCESS = {"missing": "missing", "gone": "extra", "stale": "different", "doubled": "doubled"}
LABELS = {
    "missing": "missing",
    "gone": "extra",
    "stale": "different",
    "reassigned": "different",
    "closed_later": "different",
    "over_midnight": "different",
    "moved": "different",
}


def test_a_planted_defect_of_any_dataset_outlives_its_backfill(pipeline: Ui) -> None:
    planted = pipeline.live.make_data()
    for cluster, customer in CUSTOMERS:
        found = pipeline.live.differences(cluster, customer, process=True, labels=True)
        assert_process_defects_found(planted, found, cluster, customer)
        assert_label_defects_found(planted, found, cluster, customer)
    keys = [key(*c, dataset) for c in CUSTOMERS for dataset in DATASETS]
    pipeline.backfilled([("ready", "north"), ("ready", "south"), *keys], WHOLE)
    for cluster, customer in CUSTOMERS:
        after = pipeline.live.differences(cluster, customer, process=True, labels=True)
        assert not after, str(after)
        assert after.expected > 0
        for dataset in DATASETS.values():
            for check in dataset.checks:
                assert pipeline.verdict(key(cluster, customer, dataset.name), check, WHOLE.start) is True, check


def assert_process_defects_found(planted: Planted, found: Differences, cluster: str, customer: str) -> None:
    for table in ("scorecard", "score"):
        for kind, seen in PROCESS.items():
            expected = planted.ids(kind, table, cluster, customer, dataset="process_scorecards")  # type: ignore[arg-type]
            assert expected <= set(getattr(found.tables[table], seen)), (table, kind)
            assert expected or kind == "stale" or table == "score", (table, kind)


def assert_label_defects_found(planted: Planted, found: Differences, cluster: str, customer: str) -> None:
    table = found.tables["conversation_with_labels"]
    kinds = {**LABELS, "doubled": "doubled"} if cluster == "south" else LABELS
    for kind, seen in kinds.items():
        expected = planted.ids(kind, "conversation_with_labels", cluster, customer, dataset="labels")  # type: ignore[arg-type]
        assert expected, kind
        assert expected <= set(getattr(table, seen)), kind
