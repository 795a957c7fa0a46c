"""Is each planted defect seen by the judge, before anything is rebuilt? Otherwise that it is gone later would say nothing."""

from backfill_pipeline.stack.demo_data import Planted
from backfill_pipeline_tests.e2e.compare import Differences

CONVERSATIONS = {"missing": "missing", "gone": "extra", "stale": "different", "appeal": "appeals"}
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


def assert_conversation_defects_found(planted: Planted, found: Differences, cluster: str, customer: str) -> None:
    """Exactly the planted ones."""
    for table, seen in found.tables.items():
        for kind, as_what in CONVERSATIONS.items():
            assert planted.ids(kind, table, cluster, customer) == set(getattr(seen, as_what)), (kind, table)  # type: ignore[arg-type]
        assert planted.ids("doubled", table, cluster, customer) <= set(seen.doubled)  # type: ignore[arg-type]


def assert_process_defects_found(planted: Planted, found: Differences, cluster: str, customer: str) -> None:
    for table in ("scorecard", "score"):
        for kind, as_what in PROCESS.items():
            expected = planted.ids(kind, table, cluster, customer, dataset="process_scorecards")  # type: ignore[arg-type]
            assert expected <= set(getattr(found.tables[table], as_what)), (table, kind)
            assert expected or kind == "stale" or table == "score", (table, kind)


def assert_label_defects_found(planted: Planted, found: Differences, cluster: str, customer: str) -> None:
    table = found.tables["conversation_with_labels"]
    kinds = {**LABELS, "doubled": "doubled"} if cluster == "south" else LABELS
    for kind, as_what in kinds.items():
        expected = planted.ids(kind, "conversation_with_labels", cluster, customer, dataset="labels")  # type: ignore[arg-type]
        assert expected, kind
        assert expected <= set(getattr(table, as_what)), kind
