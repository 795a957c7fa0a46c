"""A sensor that tries nothing again is told, each way in which it does not; one that works is not."""

from datetime import UTC, datetime, timedelta

import pytest

from backfill_pipeline.domain.retrying import TICKS, Sensor, Tick, why_idle

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
ERROR = "OperationalError: the ledger is away\nand a stack\nof many lines"


def ticks(*errors: str | None, age: float = 10, goes_on: bool = False) -> tuple[Tick, ...]:
    """Half a minute apart, the newest first."""
    began = [NOW - timedelta(seconds=age + 30 * n) for n in range(len(errors) + goes_on)]
    under_way = [Tick(began.pop(0), is_over=False)] if goes_on else []
    return (*under_way, *(Tick(at, error=e) for at, e in zip(began, errors, strict=True)))


@pytest.mark.parametrize(
    "found",
    [
        ticks(None),
        ticks(None, ERROR, ERROR),
        ticks(goes_on=True),
        ticks(None, goes_on=True),
        ticks(None, age=120),
        ticks(None, age=-5),
    ],
)
def test_a_sensor_that_works_is_called_dead(found: tuple[Tick, ...]) -> None:
    assert why_idle(Sensor(True, found), NOW) is None


@pytest.mark.parametrize(
    ("sensor", "why"),
    [
        (None, "Dagster has no sensor retry_failed_days"),
        (Sensor(False, ticks(None)), "is turned off"),
        (Sensor(True), "has not looked yet"),
        (Sensor(True, ticks(None, age=400)), "the last tick began 2026-02-01 11:53:20 UTC"),
        (Sensor(True, ticks(None, age=400, goes_on=True)), "does Dagster's daemon run?"),
        (Sensor(True, ticks(ERROR, None)), "the last tick failed since 2026-02-01 11:59:50 UTC: OperationalError:"),
        (Sensor(True, ticks(ERROR, ERROR, None, ERROR)), "the last 2 ticks failed since 2026-02-01 11:59:20 UTC: "),
        (Sensor(True, ticks(ERROR, ERROR, None, goes_on=True)), "the last 2 ticks failed"),
        (Sensor(True, ticks(*[ERROR] * TICKS)), "the last 20 ticks failed since 2026-02-01 11:50:20 UTC or earlier"),
        (Sensor(True, ticks("")), "it says nothing"),
    ],
)
def test_a_sensor_that_tries_nothing_again_looks_well(sensor: Sensor | None, why: str) -> None:
    told = why_idle(sensor, NOW)
    assert told
    assert why in told
    assert "until it works nothing is retried" in told
    assert "stack" not in told, "the first line is enough"


def test_an_error_of_any_length_fills_the_screen() -> None:
    assert len(why_idle(Sensor(True, ticks("x" * 5000)), NOW) or "") < 400
