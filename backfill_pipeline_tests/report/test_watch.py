"""What `--watch` shows is on the screen, whatever its size, and what is not on it is told."""

from datetime import timedelta

import pytest
from rich.console import Console

from backfill_pipeline.domain.status import Attention, Running, Standing, Status, Stranger, Trouble, Unasked
from backfill_pipeline.report.watch import Watched
from backfill_pipeline_tests.report.test_status import NOW, cluster

SIZES = [(80, 24), (120, 40), (60, 24), (200, 60), (40, 12), (20, 5), (80, 1)]
WHY = "schema drift does not pass by itself. Seen: no column `x` in `conversation`, or it is of another type"
DAYS = ("2026-01-01..2026-01-31",)


def attention(count: int) -> tuple[Attention, ...]:
    who = [("north", f"customer-{n}", "process_scorecards") for n in range(count)]
    return tuple(Attention(Trouble.QUARANTINED, *w, DAYS, 31, WHY, None, "backfill retry --cluster north") for w in who)


def running(count: int) -> tuple[Running, ...]:
    who = [("north", f"at-work-{n}", "conversations", DAYS, "run", "attempt") for n in range(count)]
    rest = (NOW - timedelta(hours=1), True, 1, "conversations", 1_000, 2_000, 10.0, 100.0, 5.0)
    return tuple(Running(*w, *rest) for w in who)


def status(clusters: int = 2, troubled: int = 260, at_work: int = 16) -> Status:
    rows = tuple(cluster(f"cluster-{n}", diagnosis="schema drift: 31 days") for n in range(clusters))
    stranger = Stranger("north", "w", "T", None, None, None, Standing.LEFT, NOW, None, None, 5.0)
    unasked = (Unasked("Temporal", "north", "nobody answers at 127.0.0.1:9; check that it runs there"),)
    return Status(NOW, rows, attention(troubled), running(at_work), (stranger,) * 3, unasked)


def screen(found: Status, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(Watched(found), height=height)
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    "found", [status(), status(40), status(0, 0, 0), status(2, 1, 1)], ids=["many", "40", "0", "few"]
)
def test_the_screen_scrolls_away_from_under_the_clusters(found: Status, size: tuple[int, int]) -> None:
    width, height = size
    lines = screen(found, width, height)
    assert len(lines) <= height
    assert max(map(len, lines), default=0) <= width


@pytest.mark.parametrize("size", SIZES[:4], ids=str)
def test_forty_rows_that_need_somebody_hide_the_clusters_or_what_runs(size: tuple[int, int]) -> None:
    lines = screen(status(), *size)
    assert lines[0].startswith("Clusters, ")
    assert [name for name in ("cluster-0", "cluster-1") if not any(x.startswith(name[:7]) for x in lines)] == []
    assert "Temporal of north was not asked" in " ".join(lines)
    shown = sum(line.startswith("quarantined") for line in lines)
    assert shown >= 1
    at_work = sum("/at-work-" in line for line in lines)
    assert lines[-1].startswith(f"more: attention {260 - shown}, running {16 - at_work}")


def test_a_list_that_found_no_room_is_not_named() -> None:
    assert screen(status(40), 80, 6)[-1].startswith(
        "more: clusters 39, notes 41, attention 260, running 16, strangers 3:"
    )


def test_a_narrow_screen_cuts_numbers_or_wraps_them() -> None:
    lines = screen(status(), 60, 24)
    at = next(n for n, line in enumerate(lines) if line.startswith("cluster "))
    assert lines[at].split() == ["cluster", "done", "run", "fail", "quar", "empt", "left", "wait", "left", "beat"]
    assert lines[at + 2].split()[1:] == ["24,180", "160", "9999", "12", "3", "99,999", "4", "2d", "12h", "1m", "35s"]
    assert any(line.startswith("too narrow for: rows, rows /s, canc;") for line in lines)
    assert "…" not in " ".join(lines)


def test_what_fits_is_left_out() -> None:
    lines = screen(status(2, 1, 1), 120, 60)
    assert not any(line.startswith("more: ") for line in lines)
    assert any(line.startswith("days: run running") for line in lines)
    assert any("no run follows" in line for line in lines)
