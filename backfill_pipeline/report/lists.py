"""Tables of things in rows, 80 columns wide at most, cut where nobody would read on."""

from rich import box
from rich.table import Table


def list_table(title: str, caption: str | None = None, *, gap: int = 0) -> Table:
    """An empty one. gap: blanks to the right of each column."""
    return Table(
        title=title,
        caption=caption,
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, gap, 0, 0),
        title_justify="left",
        caption_justify="left",
    )


def name_column(table: Table, heading: str = "cluster") -> None:
    """Where the others hold numbers, which lose digits when they are cut: this one gives way, and loses nothing."""
    table.add_column(heading, overflow="fold", min_width=5, max_width=20)


def cut_note(count: int, most: int, hint: str = "") -> str | None:
    """What the caption says where not every row is shown."""
    return f"and {count - most:,} more; --json has all{hint}" if count > most else None
