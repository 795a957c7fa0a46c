"""What `backfill plan` prints holds why a window would not go, wherever it is read."""

from datetime import UTC, datetime

from backfill_pipeline.domain.forecast import Forecast, PlannedDelete, PlannedWindow, cluster_sum
from backfill_pipeline.domain.status import Unasked
from backfill_pipeline.report.plan import plan_tables, statements
from backfill_pipeline_tests.report.printing import printed

DELETE = PlannedDelete("conversation", "DELETE FROM conversation WHERE day = 1", "SELECT count()")
GOES = PlannedWindow("north", "acme", "labels", "2026-01-01", deletes=(DELETE,))
REFUSED = PlannedWindow("north", "acme", "labels", "2026-01-02", ("too many rows\nDROP TABLE conversation", "too old"))
UNPLANNED = PlannedWindow("north", "acme", "labels", "2026-01-03", unknown="nobody answers")
WINDOWS = (GOES, REFUSED, UNPLANNED)
PAUSED = "north is paused by alice since 2026-01-01 10:00 UTC: its disk; nothing starts until `backfill resume north`"
FORECAST = Forecast(
    asked_at=datetime(2026, 2, 1, tzinfo=UTC),
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
