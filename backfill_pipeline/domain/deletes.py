"""The only builder of deletes: typed, validated values in, one statement per table for a whole window out.

Values stand as literals, not as bound parameters: a bound one is rewritten on the server to `_CAST(...)`, and then the
mutation can't be found again by its marker (trap D12). What goes in is an id of the allowed form, a time, or the id of a
row, which may be any text and is escaped.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from backfill_pipeline.domain.datasets import Target
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.markers import Future
from backfill_pipeline.domain.naming import check_id
from backfill_pipeline.domain.strays import Stray
from backfill_pipeline.domain.windows import Window


@dataclass(frozen=True)
class Delete:
    """One delete of one local table.

    text: the lightweight statement; alter: the same as a mutation that rewrites parts.
    survivors: counts what it must have removed.
    needle, owner: the marker's literal and the customer's predicate, by which the mutation is found in system.mutations.
    places, version: which rows it is about, and the column whose value decides; future: as in build_delete.
    """

    table: str
    places: str
    version: str
    needle: str
    owner: str
    future: Future | None = None

    def at(self, server_now: datetime) -> "Delete":
        """What it means at that moment: a row that a live writer stamped since it was planned is not from the future."""
        return replace(self, future=self.future.at(server_now)) if self.future else self

    @property
    def predicate(self) -> str:
        return f"{self.places} AND {_versions(self.version, self.needle, self.future)}"

    @property
    def text(self) -> str:
        return f"DELETE FROM {self.table} WHERE {self.predicate}"  # noqa: S608 - this is the typed builder

    @property
    def alter(self) -> str:
        return f"ALTER TABLE {self.table} DELETE WHERE {self.predicate}"

    @property
    def survivors(self) -> str:
        return f"SELECT count() FROM {self.table} WHERE {self.predicate}"  # noqa: S608


def build_delete(
    target: Target,
    customer: str,
    profiles: Sequence[str],
    window: Window,
    marker: datetime,
    *,
    max_days: int,
    future: Future | None = None,
    strays: Sequence[Stray] = (),
) -> Delete:
    """The delete of one customer's rows of a window that are older than the marker.

    Args:
        future: takes rows from the future too, if a person asked for it by name.
        strays: ids of which rows on these days go too, whether in the window and the dataset's own or not.

    Raises:
        Refused: no customer, no profile, an id of another form, or more days than allowed.
    """
    if not profiles or len(window.days) > max_days:
        raise Refused(
            "A delete without bounds is not built",
            where=f"{target.table}, customer {customer!r}, {window}",
            why="no profile is named" if not profiles else f"{len(window.days)} days are above the maximum {max_days}",
            next_step="name the profiles and a shorter window",
        )
    needle = moment_literal(marker, 6)
    ids = ", ".join(_id_literal(p, "profile") for p in profiles)
    owner = f"customer_id = {_id_literal(customer, 'customer')}"
    places = " AND ".join([owner, f"profile_id IN ({ids})", *_places(target, window, strays)])
    return Delete(_identifier(target.table), places, target.version, needle, owner, future)


def _places(target: Target, window: Window, strays: Sequence[Stray]) -> tuple[str, ...]:
    day = target.day_column
    own = (
        f"{day} >= {moment_literal(window.start_time, 3)}",
        f"{day} < {moment_literal(window.end_time, 3)}",
        target.only,
    )
    if not strays:
        return own
    row = f"(profile_id, {target.named_by}, toString(toDate({day}, 'UTC')))"
    places = ", ".join(f"({text_literal(s.profile)}, {text_literal(s.id)}, '{d}')" for s in strays for d in s.days)
    return (f"(({' AND '.join(own)}) OR {row} IN ({places}))",)


def _versions(column: str, needle: str, future: Future | None) -> str:
    older = f"{column} < {needle}"
    return f"({older} OR {column} > {moment_literal(future.above, 6)})" if future else older


def moment_literal(moment: datetime, scale: int) -> str:
    """An aware time as `toDateTime64('2026-01-15 00:00:00.000', 3, 'UTC')`, the way ClickHouse writes it back."""
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone is ambiguous: {moment!r}")
    utc = moment.astimezone(UTC)
    digits = f"{utc.microsecond:06d}"[:scale]
    return f"toDateTime64('{utc:%Y-%m-%d %H:%M:%S}.{digits}', {scale}, 'UTC')"


def text_literal(text: str) -> str:
    """Any text in single quotes; what is no ASCII letter or digit is escaped or means nothing inside them."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _id_literal(text: str, what: str) -> str:
    return f"'{check_id(text, what)}'"


def _identifier(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise Refused("Not a table name", where=repr(name), why="letters, digits and _ only", next_step="correct it")
    return name
