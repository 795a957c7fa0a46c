"""Is the sensor at work that tries failed days again? Its newest ticks in, why it is not out. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

SENSOR = "retry_failed_days"
TICKS = 20  # looked at
SILENT = timedelta(minutes=5)  # ticks are half a minute apart, and Dagster gives one a minute
ERROR_LENGTH = 200
UNTIL = "until it works nothing is retried or reset, and nobody is alerted"


@dataclass(frozen=True)
class Tick:
    """One look of the sensor. error: None where it did not fail, or goes on."""

    began_at: datetime
    is_over: bool = True
    error: str | None = None


@dataclass(frozen=True)
class Sensor:
    """ticks: the newest `TICKS`, newest first."""

    is_on: bool
    ticks: tuple[Tick, ...] = ()


def why_idle(sensor: Sensor | None, now: datetime) -> str | None:
    """Why failed days are not tried again, and what next; None where they are.

    Args:
        sensor: None where Dagster has none.
    """
    if sensor is None:
        return f"Dagster has no sensor {SENSOR}: is its code loaded? (Deployment) {UNTIL}"
    if not sensor.is_on:
        return f"the sensor {SENSOR} is turned off: turn it on (Automation); {UNTIL}"
    if not sensor.ticks:
        return f"the sensor {SENSOR} has not looked yet: does Dagster's daemon run? (Deployment) {UNTIL}"
    last = sensor.ticks[0].began_at
    if now - last > SILENT:
        return f"the last tick began {last:%Y-%m-%d %H:%M:%S} UTC: does Dagster's daemon run? (Deployment) {UNTIL}"
    return _failing(sensor)


def _failing(sensor: Sensor) -> str | None:
    failed = list(takewhile(lambda t: t.error is not None, (t for t in sensor.ticks if t.is_over)))
    if not failed:
        return None
    since = f"{failed[-1].began_at:%Y-%m-%d %H:%M:%S} UTC"
    what = f"the last {len(failed)} ticks failed" if len(failed) > 1 else "the last tick failed"
    when = f"since {since}" + (" or earlier" if len(failed) >= TICKS - 1 else "")
    return f"{what} {when}: {_first_line(failed[0].error or '')}; {UNTIL}"


def _first_line(error: str) -> str:
    line = next((line.strip() for line in error.splitlines() if line.strip()), "it says nothing")
    return line if len(line) <= ERROR_LENGTH else line[: ERROR_LENGTH - 3] + "..."
