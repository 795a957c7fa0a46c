"""The status tables fit a terminal, lose no column, and show what is unknown as such."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill_pipeline.domain.status import (
    Attention,
    ClusterStatus,
    DayCounts,
    Running,
    Standing,
    Status,
    Stranger,
    Trouble,
    Unasked,
)
from backfill_pipeline.report.amounts import lasting, short
from backfill_pipeline.report.status import status_tables
from backfill_pipeline.report.watch import Watched
from backfill_pipeline_tests.report.printing import printed

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
EXECUTIONS = ("open_executions", "heartbeat_age_seconds", "never_beat")
DAYS = (date(2026, 1, 1), date(2026, 1, 31))
COUNTS = DayCounts(done=24_180, running=160, failed=9999, cancelled=1, quarantined=12, emptied=3, left=99_999)
NAMES = st.text("abcXYZ._-09", min_size=1, max_size=63)


def cluster(name: str = "north", days: DayCounts | None = COUNTS, **changes: object) -> ClusterStatus:
    fields = {
        "rows": 650_500_000, "rows_per_second": 12_345.6, "seconds_left": 216_000.0, "open_executions": 3,
        "heartbeat_age_seconds": 95.0, "never_beat": 0, "queued_runs": 4, "started_runs": 2, "diagnosis": "", **changes,
    }  # fmt: skip
    return ClusterStatus(name, 86, *DAYS, days, **fields)  # type: ignore[arg-type]


def shown(*clusters: ClusterStatus, **more: tuple[object, ...]) -> list[str]:
    parts = {"attention": (), "running": (), "strangers": (), "unasked": (), **more}
    return printed(status_tables(Status(NOW, clusters, **parts)))  # type: ignore[arg-type]


def test_a_column_falls_off_the_edge_of_the_terminal() -> None:
    [row] = [line for line in shown(cluster()) if line.startswith("north")]
    assert row.split() == [
        "north", "24,180", "160", "9999", "1", "12", "3", "99,999", "4", "650M", "12.3k", "2d", "12h", "1m", "35s",
    ]  # fmt: skip


def test_days_that_were_cut_off_are_told_nowhere() -> None:
    line = "days end yesterday: 2027-01-01 is not over"
    assert shown(cluster(), cut=(line,))[-1] == line
    found = Status(NOW, (cluster(),), (), (), (), (), cut=(line,))
    assert line in printed(Watched(found))


def test_a_cluster_that_told_nothing_looks_like_an_idle_one() -> None:
    nothing = dict.fromkeys((*("queued_runs", "rows", "rows_per_second", "seconds_left"), *EXECUTIONS))
    idle = cluster(
        "idle", DayCounts(), rows=0, rows_per_second=None, seconds_left=0.0, heartbeat_age_seconds=None, queued_runs=0
    )
    rows = {line.split()[0]: line.split()[1:] for line in shown(cluster("mute", None, **nothing), idle) if line}
    assert rows["mute"] == ["?"] * 12
    assert rows["idle"] == ["-"] * 8 + ["0", "-", "0s", "-"]


@given(name=NAMES, customer=NAMES, why=st.text("ab [/red] ?", max_size=300))
def test_a_long_name_or_reason_runs_out_of_the_table(name: str, customer: str, why: str) -> None:
    days = ("2026-01-01..2026-01-31",)
    lines = shown(
        cluster(name),
        attention=(Attention(Trouble.QUARANTINED, name, customer, "process_scorecards", days, 31, why, NOW, "do it"),),
        running=(
            Running(
                *(name, customer, "process_scorecards", days, "run", "attempt", NOW - timedelta(days=2), True, 1),
                *("process scorecards", 123_456_789, 987_654_321, 12_345.6, 86_399.0, 3_599.0, True, 10),
            ),
        ),
        strangers=(
            Stranger(
                name, f"w-{customer}", "T", customer, "p", "[a, b)", Standing.FOREIGN, NOW, None, None, None, True
            ),
        ),
        unasked=(Unasked("Temporal", name, why),),
    )
    assert max(map(len, lines)) <= 80
    assert any("not known to Dagster" in line for line in lines)


def test_a_name_longer_than_its_column_or_the_largest_numbers_push_a_column_out() -> None:
    long = "conversations-production-of-europe"
    lines = shown(cluster(long, queued_runs=9999, seconds_left=46_740.0, heartbeat_age_seconds=3_500.0))
    [at] = [n for n, line in enumerate(lines) if "24,180" in line]
    assert lines[at].endswith("9999 650M 12.3k 12h 59m 58m 20s")
    end = next(n for n in range(at, len(lines)) if lines[n].startswith("days:"))
    assert lines[at].split()[0] + "".join(lines[at + 1 : end]) == long


def test_an_execution_that_never_beat_looks_like_one_that_beat_when_it_began() -> None:
    who, amounts = ("north", "acme", "labels", ("2026-01-01",), "run", "attempt", NOW, True, 2), (None,) * 4
    running = Running(*who, "labels", *amounts, heartbeat_age_seconds=10_800.0, never_beat=1)
    stranger = Stranger("north", "w", "T", None, None, None, Standing.LEFT, NOW, None, None, 7200.0, never_beat=True)
    lines = shown(cluster(), running=(running,), strangers=(stranger,))
    at = [n for n, line in enumerate(lines) if line.startswith(("2026-01-01", "north/?"))]
    assert [lines[n].split()[1:] for n in at] == [["1", "never"], ["never"]]
    assert [lines[n - 1].split()[-2:][0] for n in at] == ["3h", "over"]


def test_what_holds_a_cluster_up_is_for_programs_alone() -> None:
    lines = shown(cluster(diagnosis="deadlock: 3 days"), cluster("south"))
    assert "north: deadlock: 3 days" in lines
    assert not any(line.startswith("south:") for line in lines)


def test_the_legend_is_squeezed_into_the_width_of_the_table() -> None:
    assert "days: run running, fail failed, canc cancelled, quar quarantined, empt emptied" in shown(cluster("n", None))


def test_a_list_that_was_cut_looks_whole() -> None:
    many = tuple(Attention(Trouble.FAILED, "north", f"c{n}", "labels", ("2026-01-01",), 1, "x") for n in range(260))
    assert "and 220 more; --json has all, --customer narrows" in shown(cluster(), attention=many)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0"),
        (0.25, "0.2"),
        (999, "999"),
        (999.7, "1.0k"),
        (12_345, "12.3k"),
        (456_000_000, "456M"),
        (10**15, "1000T"),
    ],
)
def test_an_amount_is_read_a_thousandfold(amount: float, text: str) -> None:
    assert short(amount) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.6, "1m"), (61, "1m 1s"), (3600, "1h"), (11_520, "3h 12m"), (187_300, "2d 4h")],
)
def test_a_time_is_read_in_another_unit(seconds: float, text: str) -> None:
    assert lasting(seconds) == text
