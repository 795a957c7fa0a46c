"""The thresholds of pacing, as an operator writes them."""

import pytest

from backfill_pipeline.config import ConfigError, HealthLimits, load
from backfill_pipeline.domain.health import Signal
from backfill_pipeline_tests.config.conftest import GOOD, Written


def test_no_signal_is_left_without_a_threshold_of_its_own() -> None:
    thresholds = HealthLimits().thresholds
    assert set(thresholds) == set(Signal) == set(HealthLimits.model_fields) - {"ask_seconds", "deadline_seconds"}
    assert None not in thresholds.values()


def test_a_signal_can_be_switched_off_by_name_and_the_others_stay(written: Written) -> None:
    thresholds = load(written(GOOD + "health: {clickhouse_memory_ratio: null}\n")).health.thresholds
    assert [s for s, most in thresholds.items() if most is None] == [Signal.MEMORY]


@pytest.mark.parametrize(
    "mistake", ["clickhouse_memory_ratio: 90", "ask_seconds: 61", "deadline_seconds: 0", "postgres_waiting_lock: 5"]
)
def test_a_threshold_that_would_never_or_always_wait_is_refused_by_its_key(written: Written, mistake: str) -> None:
    with pytest.raises(ConfigError, match=f"health.{mistake.split(':')[0]}"):
        load(written(GOOD + f"health: {{{mistake}}}\n"))
