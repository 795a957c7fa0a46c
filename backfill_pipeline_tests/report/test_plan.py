"""What `backfill plan` prints holds why a window would not go, wherever it is read."""

from datetime import UTC, datetime

from backfill_pipeline.domain.forecast import Forecast, PlannedCluster, PlannedDelete, PlannedWindow, cluster_sum
from backfill_pipeline.domain.status import Unasked
from backfill_pipeline.report.plan import plan_tables, statements
from backfill_pipeline_tests.report.printing import printed

NOW = datetime(2026, 2, 1, tzinfo=UTC)
DELETE = PlannedDelete("conversation", "DELETE FROM conversation WHERE day = 1", "SELECT count()")
GOES = PlannedWindow("north", "acme", "labels", "2026-01-01", deletes=(DELETE,))
REFUSED = PlannedWindow("north", "acme", "labels", "2026-01-02", ("too many rows\nDROP TABLE conversation", "too old"))
UNPLANNED = PlannedWindow("north", "acme", "labels", "2026-01-03", unknown="nobody answers")
WINDOWS = (GOES, REFUSED, UNPLANNED)
PAUSED = "north is paused by alice since 2026-01-01 10:00 UTC: its disk; nothing starts until `backfill resume north`"
FORECAST = Forecast(
    asked_at=NOW,
    first_day="2026-01-01",
    last_day="2026-01-03",
    clusters=(cluster_sum("north", WINDOWS, 2, PAUSED),),
    windows=WINDOWS,
    unasked=(Unasked("cluster", "north", "nobody answers"),),
)


def test_a_refused_window_is_not_seen_among_statements_or_its_reason_is_one() -> None:
    lines = statements(FORECAST).splitlines()
    assert [line for line in lines if not line.startswith("--")] == [f"{DELETE.statement};"]
    at = lines.index("-- labels of acme on north, 2026-01-02: refused")
    assert lines[at + 1 :] == [
        "--   too many rows",
        "--   DROP TABLE conversation",
        "--   too old",
        "-- labels of acme on north, 2026-01-03: not planned",
        "--   nobody answers",
    ]


def test_whoever_reads_the_tables_alone_misses_what_would_not_be_done() -> None:
    shown = " ".join(" ".join(printed(plan_tables(FORECAST))).split())
    assert PAUSED in shown
    assert "1 of 3 windows would be refused" in shown
    assert "? north could not be planned in full: nobody answers" in shown


def test_a_cut_number_is_read_as_a_tenth_of_it() -> None:
    name, size = "conversations-production-europe-north-1a", (45_670_000_000_000, 12_345_000_000_000)
    assert len(name) == 40
    large = PlannedCluster(name, 98_765, 12_345, 11_111, 123_456, 650_500_000, *size, 86_399.0, 100)
    window = PlannedWindow(
        name, name, "process_scorecards", "2026-01-01..2026-01-31", (), None, 10**8, 10**8, *size, 86_399.0
    )
    lines = printed(plan_tables(Forecast(NOW, "2026-01-01", "2026-12-31", (large,), (window,), ())))
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if "…" in line]
    [at] = [n for n, line in enumerate(lines) if "98,765" in line]
    numbers = "98,765 12,345 11,111 123,456 650M 45.7TB/12.3TB 23h 59m 100"
    assert lines[at].split()[1:] == numbers.split()
    end = next(n for n in range(at, len(lines)) if lines[n].startswith("Runs"))
    assert lines[at].split()[0] + "".join(lines[at + 1 : end]) == name
    [row] = [line for line in lines if line.startswith(name[:30])]
    assert row.split()[1:] == ["0", "100M", "100M", "45.7TB/12.3TB", "23h", "59m"]
