"""Progress in a run's log: often enough to trust it, seldom enough to read the rest."""

import pytest

from backfill_pipeline.domain.contracts import Progress
from backfill_pipeline.steps.progress import ProgressLog, progress_line


def told(done_at: dict[int, int]) -> list[str]:
    """The lines of a look at each of these seconds."""
    lines: list[str] = []
    now = [0.0]
    log = ProgressLog(lines.append, lambda: now[0], "conversations")
    for second, done in done_at.items():
        now[0] = float(second)
        log.tell([Progress(done, 0, None)])
    return lines


def test_a_work_that_stands_still_does_not_bury_the_log_in_one_line() -> None:
    assert len(told(dict.fromkeys(range(180), 0))) == 3


def test_a_work_that_moves_is_told_every_few_seconds() -> None:
    assert len(told({n: n for n in range(60)})) == 12


def test_a_work_that_moves_again_is_told_at_once() -> None:
    assert told({0: 0, 10: 0, 20: 7})[-1].startswith("7 of - conversations")


@pytest.mark.parametrize("total", [10**15, 10**18 - 1])
def test_a_total_that_no_job_can_mean_ends_the_run_that_follows_it(total: int) -> None:
    assert progress_line(1, total, 0.2, "conversations").endswith("0/s, time left -")
