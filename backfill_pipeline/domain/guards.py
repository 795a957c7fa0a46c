"""May this window be deleted? Signals in, every reason against it out; nothing is touched before the list is empty."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from backfill_pipeline.domain.datasets import Dataset
from backfill_pipeline.domain.schemas import TableSchema, schema_mistakes
from backfill_pipeline.domain.verdicts import Sums
from backfill_pipeline.domain.windows import ONE_DAY, Window

APPROVED_TAG = "approved"
CHILD_RATIO = 0.5  # scorecards and scores may shrink further: appeals and rows that are gone are why one reindexes
APPROVED = "true"  # any other value approves nothing: `approved=false` must not


@dataclass(frozen=True)
class GuardLimits:
    """min_source_ratio: source ids below this share of the target's refuse. is_approved: a person asked by name.

    retention_days: how long PostgreSQL keeps rows; None is for ever.
    """

    max_window_days: int
    max_rows_without_approval: int
    min_source_ratio: float
    known_views: tuple[str, ...] = ()
    retention_days: int | None = None
    is_approved: bool = False
    is_alter: bool = False


@dataclass(frozen=True)
class Signals:
    """What inspect saw, before anything is touched.

    source, target: sums per day and table; None where the count failed.
    schemas: one per target table and shard.
    future_rows: rows per table whose version lies above ClickHouse's clock plus the allowed skew.
    """

    dataset: Dataset
    customer: str
    window: Window
    today: date
    source: Sums | None
    target: Sums | None
    schemas: tuple[TableSchema, ...]
    future_rows: Mapping[str, int]
    queued_blocks: int = 0
    dead_shards: tuple[str, ...] = ()


def refusals(signals: Signals, limits: GuardLimits) -> tuple[str, ...]:
    """Every reason not to delete this window; empty means go."""
    return (
        *_scope(signals, limits),
        *_server(signals, limits),
        *_source(signals, limits),
        *_future(signals, limits),
    )


def window_refusals(window: Window, today: date, limits: GuardLimits) -> tuple[str, ...]:
    """What can be said of the range alone, before any system is asked."""
    reasons = []
    days = len(window.days)
    if days > limits.max_window_days:
        reasons.append(f"the window has {days} days, the maximum is {limits.max_window_days} (limits.max_window_days)")
    if window.end > today:
        reasons.append(f"the window {window} ends after yesterday; {today} (UTC) is not over yet")
    kept = limits.retention_days
    if kept is not None and window.start < today - ONE_DAY * kept and not limits.is_approved:
        reasons.append(f"PostgreSQL keeps {kept} days (retention_days); of {window.start} it may have lost rows")
    return tuple(reasons)


def _scope(signals: Signals, limits: GuardLimits) -> tuple[str, ...]:
    if not signals.customer:
        return ("no customer is named",)
    return window_refusals(signals.window, signals.today, limits)


def _server(signals: Signals, limits: GuardLimits) -> list[str]:
    targets = {t.table: t for t in signals.dataset.targets}
    reasons = [f"{s.table}: {m}" for s in signals.schemas for m in schema_mistakes(targets[s.table], s)]
    for schema in signals.schemas:
        unlisted = sorted(set(schema.views) - set(limits.known_views))
        reasons += [
            f"{schema.table}: the view {v} is not reached by a delete; list it in known_views" for v in unlisted
        ]
        reasons += _disk(schema, limits)
    reasons += [f"shard {s} has no active replica" for s in signals.dead_shards]
    if signals.queued_blocks:
        reasons.append(
            f"{signals.queued_blocks} blocks wait in the distribution queue; they would land after the delete"
        )
    return list(dict.fromkeys(reasons))


def _disk(schema: TableSchema, limits: GuardLimits) -> list[str]:
    needed = 2 * schema.largest_part_bytes
    if not limits.is_alter or schema.free_disk_bytes is None or schema.free_disk_bytes >= needed:
        return []
    return [
        f"{schema.table}: ALTER rewrites parts and needs {needed:,} free bytes, there are {schema.free_disk_bytes:,}"
    ]


def _source(signals: Signals, limits: GuardLimits) -> list[str]:
    if signals.source is None or signals.target is None:
        side = "source" if signals.source is None else "target"
        return [f"the {side} could not be counted; an unknown count is never taken for zero"]
    unknown = _uncounted(signals)
    if limits.is_approved:
        return unknown
    reasons = unknown + [r for d in signals.window.days for r in _shrunk(signals, d, limits.min_source_ratio)]
    rows = sum(s.rows for sums in signals.source.values() for s in sums.values())
    if rows > limits.max_rows_without_approval:
        reasons.append(f"{rows:,} source rows are above {limits.max_rows_without_approval:,}: set the tag `approved`")
    return reasons


def _uncounted(signals: Signals) -> list[str]:
    """Days and tables that one side did not count; no approval makes them known."""
    sides = (("source", signals.source), ("target", signals.target))
    tables = [t.table for t in signals.dataset.targets]
    return [
        f"{day}: {table} could not be counted in the {side}"
        for day in signals.window.days
        for table in tables
        for side, sums in sides
        if _rows(sums, day, table) is None
    ]


def _shrunk(signals: Signals, day: date, ratio: float) -> list[str]:
    """The day's tables of which the source holds too little; a source that lost its scorecards alone is as bad."""
    main = signals.dataset.main.table
    asked = [(t.table, ratio if t.table == main else min(ratio, CHILD_RATIO)) for t in signals.dataset.targets]
    found = [r for table, least in asked for r in _table_shrunk(signals, day, table, least)]
    return [f"{day}: {'; '.join(found)}"] if found else []


def _table_shrunk(signals: Signals, day: date, table: str, ratio: float) -> list[str]:
    source, target = _rows(signals.source, day, table), _rows(signals.target, day, table)
    if source is None or not target or (source > 0 and source >= ratio * target):
        return []
    share = f"{source / target:.0%}"
    return [f"the source has {source:,} of {table}, the target {target:,} ({share}, at least {ratio:.0%} expected)"]


def _rows(sums: Sums | None, day: date, table: str) -> int | None:
    found = (sums or {}).get(day, {}).get(table)
    return found.rows if found else None


def _future(signals: Signals, limits: GuardLimits) -> list[str]:
    if limits.is_approved:
        return []
    return [
        f"{table}: {rows:,} rows have a version from the future; no delete by marker reaches them and they win for ever"
        for table, rows in signals.future_rows.items()
        if rows
    ]
