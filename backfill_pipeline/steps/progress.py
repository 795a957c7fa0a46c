"""Progress of executions as log lines: done, total, rate and time left; what is not known is `-`, never 0."""

from collections.abc import Callable, Iterable
from datetime import timedelta

from backfill_pipeline.domain.contracts import Progress

EVERY_SECONDS = 5.0
LONGEST_SECONDS = 10 * 366 * 86400.0  # what takes longer will not take that long, and dates end
STANDING_SECONDS = 60.0  # where nothing moves: the same line every few seconds hides all others


class ProgressLog:
    """Logs at most one line in EVERY_SECONDS, and one in STANDING_SECONDS that says the same as the last."""

    def __init__(self, log: Callable[[str], None], clock: Callable[[], float], unit: str) -> None:
        self._log, self._clock, self._unit = log, clock, unit
        self._started: float | None = None
        self._first = self._last = 0
        self._told = -STANDING_SECONDS

    def tell(self, progress: Iterable[Progress | None], *, is_last: bool = False) -> None:
        """Of each execution; None where it has not said anything yet."""
        now, known = self._clock(), [p for p in progress if p]
        done = sum(p.done for p in known)
        pause = EVERY_SECONDS if done != self._last else STANDING_SECONDS
        if not known or (now < self._told + pause and not is_last):
            return
        if self._started is None:
            self._started, self._first = now, done
        self._told, self._last = now, done
        self._log(progress_line(done, _total(known), self._rate(now, done), self._unit))

    def _rate(self, now: float, done: int) -> float | None:
        seconds = now - (self._started if self._started is not None else now)
        return (done - self._first) / seconds if seconds > 0 else None


def _total(known: list[Progress]) -> int | None:
    totals = [p.total for p in known]
    return sum(t for t in totals if t is not None) if all(t is not None for t in totals) else None


def progress_line(done: int, total: int | None, rate: float | None, unit: str) -> str:
    left = None if total is None or not rate else max(total - done, 0) / rate
    until = "-" if left is None or left > LONGEST_SECONDS else str(timedelta(seconds=round(left)))
    of = "-" if total is None else f"{total:,}"
    speed = "-" if rate is None else f"{rate:,.0f}"
    return f"{done:,} of {of} {unit}, {speed}/s, time left {until}"
