"""What a server says of a target table, and which differences make a reindex unsafe."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from backfill_pipeline.domain.datasets import Target


@dataclass(frozen=True)
class TableSchema:
    """A local table as one shard's server describes it.

    columns: name -> ClickHouse type, in order.
    sharding_key: the expression of its `_d` table, None where there is no such table or it has none.
    views: materialized views fed by inserts into it, as `database.name`.
    version_scale: digits of the version column's fraction (0 for DateTime), None if it is no time.
    """

    table: str
    columns: Mapping[str, str]
    engine: str
    sorting_key: str
    version_column: str | None
    version_scale: int | None
    sharding_key: str | None
    views: tuple[str, ...] = ()
    projections: tuple[str, ...] = ()
    largest_part_bytes: int = 0
    free_disk_bytes: int | None = None


def schema_mistakes(target: Target, schema: TableSchema) -> tuple[str, ...]:
    """Every difference that changes a key, a version or a delete; columns that are merely absent are no mistake."""
    needed = (*target.ids, target.day_column, target.version)
    absent = [f"column {c} is missing" for c in needed if c not in schema.columns]
    return (*absent, *_engine_mistakes(schema), *_key_mistakes(target, schema), *_day_mistakes(target, schema))


def _engine_mistakes(schema: TableSchema) -> tuple[str, ...]:
    if "ReplacingMergeTree" not in schema.engine:
        return (f"engine is {schema.engine}, expected a ReplacingMergeTree",)
    if schema.version_scale is None:
        return (f"version column {schema.version_column} is no DateTime or DateTime64",)
    return ()


def _key_mistakes(target: Target, schema: TableSchema) -> tuple[str, ...]:
    mistakes = []
    forms = [", ".join(key) for key in target.sort_keys]
    if _plain(schema.sorting_key) not in map(_plain, forms):
        mistakes.append(f"sorting key is ({schema.sorting_key}), expected ({') or ('.join(forms)})")
    if schema.version_column != target.version:
        mistakes.append(f"version column is {schema.version_column}, expected {target.version}")
    return tuple(mistakes)


def _day_mistakes(target: Target, schema: TableSchema) -> tuple[str, ...]:
    """A window is a range of this column: text or a bare date would be compared as something else."""
    kind = schema.columns.get(target.day_column)
    if kind is None or scale_of(kind) is not None:
        return ()
    return (f"column {target.day_column} is {kind}, expected a DateTime or DateTime64",)


def _plain(key: str) -> str:
    return re.sub(r"\s|,'UTC'", "", key.replace(", 'UTC'", ""))


def scale_of(column_type: str) -> int | None:
    """Digits of a time column's fraction: 0 for DateTime, n for DateTime64(n), None for any other type."""
    found = re.fullmatch(r"DateTime64\((\d+)(?:,.*)?\)", column_type)
    if found:
        return int(found[1])
    return 0 if re.fullmatch(r"DateTime(\(.*\))?", column_type) else None
