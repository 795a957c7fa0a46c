"""May this window be deleted? Signals in, every reason against it out; nothing is touched before the list is empty."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from backfill_pipeline.domain.datasets import Dataset
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.schemas import TableSchema, schema_mistakes
from backfill_pipeline.domain.strays import Stray, too_many
from backfill_pipeline.domain.verdicts import Sums
from backfill_pipeline.domain.windows import ONE_DAY, Window

CHILD_RATIO = 0.5  # scorecards and scores may shrink further: appeals and rows that are gone are why one reindexes
APPROVED_TAG = "approved"
_PREFIX = APPROVED_TAG + "/"
_YES = "true"  # any other value approves nothing: `approved/rows=false` must not


class Approval(StrEnum):
    """What a person may ask for by name although a guard would refuse it; each as a run tag of its own."""

    SHRUNKEN_SOURCE = "shrunken_source"
    RETENTION = "retention"
    ROWS = "rows"
    FUTURE_VERSIONS = "future_versions"

    @property
    def tag(self) -> str:
        return f"{_PREFIX}{self}={_YES}"

    @property
    def way(self) -> str:
        return f" [meant so? --approve {self}, or run tag {self.tag}]"


def approvals(tags: Mapping[str, str]) -> frozenset[Approval]:
    """What the tags of a run approve.

    Raises:
        Refused: a tag approves something that no guard knows; taken for a no it would be a riddle, for a yes a danger.
    """
    named = {t.removeprefix(_PREFIX): v for t, v in tags.items() if t == APPROVED_TAG or t.startswith(_PREFIX)}
    unknown = sorted(set(named) - set(Approval))
    if unknown:
        raise Refused(
            "An approval that no guard knows",
            where=f"run tags {', '.join(t for t in tags if t.removeprefix(_PREFIX) in unknown)}",
            why="each guard is approved by its own name",
            next_step=f"use some of {', '.join(a.tag for a in Approval)}",
        )
    return frozenset(Approval(name) for name, value in named.items() if value == _YES)


def approving(names: Iterable[str]) -> dict[str, str]:
    """The run tags that approve these by name.

    Raises:
        Refused: no guard has such a name.
    """
    tags = {f"{_PREFIX}{name}": _YES for name in names}
    approvals(tags)
    return tags


@dataclass(frozen=True)
class GuardLimits:
    """min_source_ratio: source ids below this share of the target's refuse. approved: what a person asked for by name.

    retention_days: how long PostgreSQL keeps rows; None is for ever. longest: what a conversation may take at most.
    """

    max_window_days: int
    max_rows_without_approval: int
    min_source_ratio: float
    known_views: tuple[str, ...] = ()
    retention_days: int | None = None
    approved: frozenset[Approval] = frozenset()
    is_alter: bool = False
    longest: timedelta = ONE_DAY


@dataclass(frozen=True)
class Signals:
    """What inspect saw, before anything is touched.

    source, target: sums per profile, day and table; None where the count failed.
    schemas: one per target table and shard.
    future_rows: rows per table whose version lies above ClickHouse's clock plus the allowed skew.
    strays: per table the ids of the window that have rows on other days. longest: of the window's conversations.
    """

    dataset: Dataset
    customer: str
    profiles: tuple[str, ...]
    window: Window
    today: date
    source: Mapping[str, Sums] | None
    target: Mapping[str, Sums] | None
    schemas: tuple[TableSchema, ...]
    future_rows: Mapping[str, int]
    queued_blocks: int = 0
    dead_shards: tuple[str, ...] = ()
    strays: Mapping[str, Sequence[Stray]] = field(default_factory=dict)
    longest: timedelta | None = None


def refusals(signals: Signals, limits: GuardLimits) -> tuple[str, ...]:
    """Every reason not to delete this window; empty means go."""
    return (
        *_scope(signals, limits),
        *_server(signals, limits),
        *_source(signals, limits),
        *_future(signals, limits),
        *_reach(signals, limits),
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
    if kept is not None and window.start < today - ONE_DAY * kept and Approval.RETENTION not in limits.approved:
        lost = f"PostgreSQL keeps {kept} days (retention_days); of {window.start} it may have lost rows"
        reasons.append(lost + Approval.RETENTION.way)
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
    return [*_uncounted(signals), *_shrunken(signals, limits), *_too_many(signals, limits)]


def _uncounted(signals: Signals) -> list[str]:
    """Profiles, days and tables that one side did not count; no approval makes them known."""
    sides = (("source", signals.source), ("target", signals.target))
    tables = [t.table for t in signals.dataset.targets]
    return [
        f"{day}: {table} of profile {profile} could not be counted in the {side}"
        for profile in signals.profiles
        for day in signals.window.days
        for table in tables
        for side, sums in sides
        if _rows(sums, profile, day, table) is None
    ]


def _too_many(signals: Signals, limits: GuardLimits) -> list[str]:
    days = (day for sums in (signals.source or {}).values() for day in sums.values())
    rows = sum(table.rows for day in days for table in day.values())
    if rows <= limits.max_rows_without_approval or Approval.ROWS in limits.approved:
        return []
    return [f"{rows:,} source rows are above {limits.max_rows_without_approval:,}{Approval.ROWS.way}"]


def _shrunken(signals: Signals, limits: GuardLimits) -> list[str]:
    """Profile by profile: a large one that is whole would hide a small one that is gone."""
    if Approval.SHRUNKEN_SOURCE in limits.approved:
        return []
    return [
        found + Approval.SHRUNKEN_SOURCE.way
        for profile in signals.profiles
        for day in signals.window.days
        for found in _day_shrunken(signals, profile, day, limits.min_source_ratio)
    ]


def _day_shrunken(signals: Signals, profile: str, day: date, ratio: float) -> list[str]:
    """The day's tables of which the source holds too little; a source that lost its scorecards alone is as bad."""
    main = signals.dataset.main.table
    asked = [(t.table, ratio if t.table == main else min(ratio, CHILD_RATIO)) for t in signals.dataset.targets]
    found = [r for table, least in asked for r in _table_shrunken(signals, profile, day, table, least)]
    return [f"{day}, profile {profile}: {'; '.join(found)}"] if found else []


def _table_shrunken(signals: Signals, profile: str, day: date, table: str, ratio: float) -> list[str]:
    source, target = _rows(signals.source, profile, day, table), _rows(signals.target, profile, day, table)
    if source is None or not target or (source > 0 and source >= ratio * target):
        return []
    share = f"{source / target:.0%}"
    return [f"the source has {source:,} of {table}, the target {target:,} ({share}, at least {ratio:.0%} expected)"]


def _rows(side: Mapping[str, Sums] | None, profile: str, day: date, table: str) -> int | None:
    found = (side or {}).get(profile, {}).get(day, {}).get(table)
    return found.rows - found.surplus if found else None


def _future(signals: Signals, limits: GuardLimits) -> list[str]:
    if Approval.FUTURE_VERSIONS in limits.approved:
        return []
    why = "have a version from the future; no delete by marker reaches them and they win for ever"
    return [
        f"{table}: {rows:,} rows {why}{Approval.FUTURE_VERSIONS.way}"
        for table, rows in signals.future_rows.items()
        if rows
    ]


def _reach(signals: Signals, limits: GuardLimits) -> list[str]:
    """What a delete can't name, and what the Job would not find."""
    reasons = [r for table, strays in signals.strays.items() if (r := too_many(table, strays))]
    if signals.longest is not None and signals.longest > limits.longest:
        reasons.append(
            f"a conversation of the window took {signals.longest}, above {limits.longest} "
            "(limits.longest_conversation_hours): the Job would not find it; raise the limit"
        )
    return reasons
