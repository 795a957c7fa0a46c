"""The days that the daily verification asks for."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from backfill_pipeline.config import Config
from backfill_pipeline.definitions import definitions_of
from backfill_pipeline.defs.partitions import RANGE_END, RANGE_START

CONFIG = Config.model_validate(
    {
        "clusters": [{"name": "north", "first_day": "2026-01-05", "customers": [{"id": "acme"}, {"id": "globex"}]}],
        "ledger": {"host": "127.0.0.1", "database": "ledger"},
        "datasets": ["conversations", "labels"],
        "verification": {"days": 7},
    }
)


def asked(day: int) -> list[dg.RunRequest]:
    """Run requests of the tick on that day of January."""
    schedule = definitions_of(CONFIG).get_repository_def().get_schedule_def("verify_last_days")
    with dg.instance_for_test() as instance:
        at = datetime(2026, 1, day, 6, tzinfo=UTC)
        return (
            schedule.evaluate_tick(dg.build_schedule_context(instance, scheduled_execution_time=at)).run_requests or []
        )


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [(6, "2026-01-05", "2026-01-05"), (8, "2026-01-05", "2026-01-07"), (20, "2026-01-13", "2026-01-19")],
)
def test_no_day_is_asked_for_that_has_no_partition_or_is_not_over(day: int, first: str, last: str) -> None:
    requests = asked(day)
    assert [(r.tags[RANGE_START], r.tags[RANGE_END]) for r in requests] == [(first, last)] * 2


def test_a_customer_has_one_run_for_the_checks_of_all_its_datasets() -> None:
    keys = [{k.asset_key.to_user_string() for k in r.asset_check_keys or []} for r in asked(20)]
    assert keys == [{f"{dataset}/north/{customer}" for dataset in CONFIG.datasets} for customer in ("acme", "globex")]


def test_a_cluster_whose_first_day_is_to_come_fails_no_verification() -> None:
    assert asked(5) == []
