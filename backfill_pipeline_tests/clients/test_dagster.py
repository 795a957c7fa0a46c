"""What Dagster's answers mean for an operator."""

from typing import Any

import pytest

from backfill_pipeline.clients.dagster import BackfillState, _root_days


@pytest.mark.parametrize(
    ("status", "runs", "is_good"),
    [
        ("COMPLETED_SUCCESS", {"a": "SUCCESS"}, True),
        ("COMPLETED", {"a": "SUCCESS", "b": "SUCCESS"}, True),
        ("COMPLETED", {"a": "SUCCESS", "b": "FAILURE"}, False),
        ("COMPLETED_FAILED", {}, False),
        ("FAILED", {}, False),
        ("CANCELED", {"gate": "SUCCESS"}, False),
    ],
)
def test_a_backfill_that_did_not_end_well_is_never_told_as_one_that_did(
    status: str, runs: dict[str, str], is_good: bool
) -> None:
    assert BackfillState("b", status, "", runs).is_good is is_good


@pytest.mark.parametrize(
    "target",
    [
        {"ranges": [{"start": "2026-01-01-05:00", "end": "2026-01-02-07:00"}], "partitionKeys": None},
        {"ranges": None, "partitionKeys": ["us-east", "us-west"]},
    ],
)
def test_somebody_elses_backfill_of_hours_or_regions_does_not_stop_ours(target: dict[str, Any]) -> None:
    assert _root_days({"assetBackfillData": {"rootTargetedPartitions": target}}) is None
