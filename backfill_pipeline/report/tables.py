"""Tables for the terminal, 80 columns wide: verdicts per customer and day. Pure functions."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta

from rich import box
from rich.table import Table
from rich.text import Text

from backfill_pipeline.domain.verdicts import Verdict

UNKNOWN = "-"
MAX_DAYS = 40  # more are folded into weeks
MAX_WEEKS = 53  # more are folded into months
_WIDE = 20  # up to here a blank stands between the letters
_TERMINAL = 80
_BORDERS = 6  # blanks and edges of a table of three columns
_LEAST_WIDTH = 56  # of title and legend

Customer = tuple[str, str]
"""(cluster, customer)."""
Days = Mapping[date, Verdict | None]

# From the worst to the best. Unknown stands above the good ones: a week with a day that nobody looked at is not fine.
_LOOKS: dict[Verdict | None, tuple[str, str, str]] = {
    Verdict.DIFFERENT: ("D", "bold red", "different"),
    Verdict.ERROR: ("E", "bold magenta", "error"),
    Verdict.UNCOVERED: ("U", "yellow", "uncovered"),
    None: (UNKNOWN, "dim", "unknown"),
    Verdict.MATCH: ("M", "green", "match"),
    Verdict.EMPTY_BOTH: (".", "dim green", "empty"),
}
_BAD_FIRST = list(_LOOKS)


def verdict_table(rows: Mapping[Customer, Days], title: str = "Verdicts") -> Table:
    """A row per customer, a letter per day, and a legend that counts days.

    Above 40 days a letter is the worst day of a week, above 53 weeks of a month.

    Args:
        rows: verdicts by (cluster, customer) and day. None, or a day that another customer has and this one has not,
            is unknown and shown as `-`.
    """
    days = sorted({day for verdicts in rows.values() for day in verdicts})
    unit, parts = _folded(days)
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        min_width=_LEAST_WIDTH,
        title=_title(title, days, unit),
        caption=_legend(rows, days),
    )
    _add_columns(table, _heading(list(parts), unit), len(parts), len(days))
    for (cluster, customer), verdicts in rows.items():
        letters = [_letter(worst(verdicts.get(day) for day in part)) for part in parts.values()]
        table.add_row(Text(f"{cluster}/{customer}"), _spaced(letters), _good(verdicts, days))
    return table


def _add_columns(table: Table, heading: Text, letters: int, days: int) -> None:
    """Only the name gives way: a shortened one can still be told, a row that lost some of its days can't."""
    letters_width = len(_spaced([Text("M")] * letters))
    good_width = len(f"{days}/{days}")
    name_width = _TERMINAL - _BORDERS - letters_width - good_width
    table.add_column("cluster/customer", no_wrap=True, max_width=name_width, overflow="ellipsis")
    table.add_column(heading, no_wrap=True, min_width=letters_width)
    table.add_column("good", justify="right", no_wrap=True, min_width=good_width)


def worst(verdicts: Iterable[Verdict | None]) -> Verdict | None:
    """The one that asks most for attention; unknown (None) is worse than every good one."""
    return min(verdicts, key=_BAD_FIRST.index)


_FIRST_OF: Mapping[str, Callable[[date], date]] = {
    "day": lambda day: day,
    "week": lambda day: day - timedelta(days=day.weekday()),
    "month": lambda day: day.replace(day=1),
}


def _folded(days: list[date]) -> tuple[str, dict[date, list[date]]]:
    """The unit of a letter, and by each unit's first day the days in it."""
    parts: dict[date, list[date]] = {}
    for unit, most in (("day", MAX_DAYS), ("week", MAX_WEEKS), ("month", len(days))):
        parts = {}
        for day in days:
            parts.setdefault(_FIRST_OF[unit](day), []).append(day)
        if len(parts) <= most:
            return unit, parts
    return "month", parts


def _heading(starts: list[date], unit: str) -> Text:
    """Dates written from top to bottom, above one letter each: the day, and the month or year where it is needed."""
    in_one_month = len({(start.year, start.month) for start in starts}) == 1
    form = {"day": "%d" if in_one_month else "%m%d", "week": "%m%d", "month": "%y%m"}[unit]
    digits = [start.strftime(form) for start in starts]
    return Text("\n").join(_spaced([Text(d) for d in line]) for line in zip(*digits, strict=True))


def _spaced(letters: list[Text]) -> Text:
    return Text(" " if len(letters) <= _WIDE else "").join(letters)


def _title(title: str, days: list[date], unit: str) -> str:
    if not days:
        return f"{title}: no days"
    return f"{title}, {days[0]} to {days[-1]}" + ("" if unit == "day" else f", worst day of each {unit}")


def _letter(verdict: Verdict | None) -> Text:
    letter, style, _ = _LOOKS[verdict]
    return Text(letter, style)


def _good(verdicts: Days, days: list[date]) -> str:
    good = sum(v is not None and v.is_good for v in verdicts.values())
    return f"{good}/{len(days)}"


def _legend(rows: Mapping[Customer, Days], days: list[date]) -> Text:
    """The letters that occur, with their meaning and number of days."""
    counts = Counter(verdicts.get(day) for verdicts in rows.values() for day in days)
    used = [(look, counts[verdict]) for verdict, look in _LOOKS.items() if counts[verdict]]
    parts = [Text.assemble((letter, style), f" {word} {count:,}") for (letter, style, word), count in used]
    lines = [Text("   ").join(parts[i : i + 3]) for i in range(0, len(parts), 3)]
    return Text("\n").join(lines)
