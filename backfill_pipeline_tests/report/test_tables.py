"""The tables say what is known, show what is not, and fit a terminal."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from backfill_pipeline.domain.verdicts import Verdict
from backfill_pipeline.report.tables import verdict_table, worst

FIRST = date(2026, 1, 1)
LETTERS = {
    Verdict.MATCH: "M",
    Verdict.DIFFERENT: "D",
    Verdict.ERROR: "E",
    Verdict.UNCOVERED: "U",
    Verdict.EMPTY_BOTH: ".",
}


def printed(table: Table) -> list[str]:
    console = Console(width=80, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def row_of(lines: list[str], name: str) -> list[str]:
    return next(line.split() for line in lines if line.strip().startswith(name))


def days(*verdicts: Verdict | None, first: date = FIRST) -> dict[date, Verdict | None]:
    return {first + timedelta(days=i): verdict for i, verdict in enumerate(verdicts)}


def test_a_day_shows_the_verdict_of_its_neighbour() -> None:
    lines = printed(verdict_table({("north", "acme"): days(*LETTERS), ("south", "hooli"): days(*reversed(LETTERS))}))
    assert row_of(lines, "north/acme") == ["north/acme", *LETTERS.values(), "2/5"]
    assert row_of(lines, "south/hooli") == ["south/hooli", *reversed(LETTERS.values()), "2/5"]


def test_an_unknown_day_looks_like_a_good_one() -> None:
    rows = {("north", "acme"): days(Verdict.MATCH, None), ("north", "globex"): days(Verdict.MATCH)}
    lines = printed(verdict_table(rows))
    assert row_of(lines, "north/acme") == ["north/acme", "M", "-", "1/2"]
    assert row_of(lines, "north/globex") == ["north/globex", "M", "-", "1/2"]
    assert any("- unknown 2" in line for line in lines)


def test_a_bad_day_disappears_in_its_week() -> None:
    verdicts = [Verdict.MATCH] * 60
    verdicts[31] = Verdict.DIFFERENT  # 2026-02-01, a Sunday: the week from January 26
    [*row] = row_of(printed(verdict_table({("north", "acme"): days(*verdicts)})), "north/acme")
    assert row[1:-1] == ["M"] * 4 + ["D"] + ["M"] * 4
    assert row[-1] == "59/60"


@pytest.mark.parametrize("verdict", LETTERS)
def test_a_verdict_has_no_place_in_the_order(verdict: Verdict) -> None:
    assert worst([verdict, Verdict.DIFFERENT]) == Verdict.DIFFERENT
    assert worst([verdict, Verdict.EMPTY_BOTH]) == verdict


def test_every_verdict_of_the_domain_has_a_letter() -> None:
    assert set(LETTERS) == set(Verdict)


def test_a_week_with_an_unknown_day_is_called_good() -> None:
    assert worst([Verdict.MATCH, None, Verdict.EMPTY_BOTH]) is None
    assert worst([None, Verdict.UNCOVERED]) == Verdict.UNCOVERED


@given(
    count=st.integers(1, 900),
    first=st.dates(date(2024, 1, 1), date(2026, 12, 31)),
    cluster=st.text("abcXYZ._-09", min_size=1, max_size=63),
    customer=st.text("abcXYZ._-09", min_size=1, max_size=63),
)
def test_a_table_is_broken_by_the_width_of_the_terminal(count: int, first: date, cluster: str, customer: str) -> None:
    table = verdict_table({(cluster, customer): days(*[Verdict.MATCH] * count, first=first)}, "Before")
    lines = printed(table)
    assert max(map(len, lines)) <= 80
    [row] = [line for line in lines if line.endswith(f"{count}/{count}")]
    assert row.split()[0].rstrip("…") in f"{cluster}/{customer}"


@pytest.mark.parametrize(
    ("count", "title", "columns"),
    [
        (40, "2026-01-01 to 2026-02-09", 40),
        (41, "2026-01-01 to 2026-02-10, worst day of each week", 7),
        (365, "2026-01-01 to 2026-12-31, worst day of each week", 53),
        (900, "2026-01-01 to 2028-06-18, worst day of each month", 30),
    ],
)
def test_a_long_span_runs_out_of_the_table(count: int, title: str, columns: int) -> None:
    lines = printed(verdict_table({("north", "acme"): days(*[Verdict.DIFFERENT] * count)}, "Before"))
    assert f"Before, {title}" in lines[0].strip()
    assert "".join(row_of(lines, "north/acme")[1:-1]) == "D" * columns


def test_a_day_stands_under_the_date_of_another() -> None:
    lines = printed(verdict_table({("n", "acme"): days(*[Verdict.MATCH] * 4, first=date(2026, 1, 30))}))
    heading = [line.split() for line in lines[2:6]]
    assert ["".join(part) for part in zip(*[h[-5:-1] if "good" in h else h[-4:] for h in heading], strict=True)] == [
        "0130", "0131", "0201", "0202",
    ]  # fmt: skip


def test_a_name_is_read_as_markup_of_the_terminal() -> None:
    assert "[bold]/[red]" in "\n".join(printed(verdict_table({("[bold]", "[red]"): days(Verdict.MATCH)})))


def test_no_rows_break_the_table() -> None:
    assert any("no days" in line for line in printed(verdict_table({})))
