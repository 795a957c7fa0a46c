"""Tables as the servers of a cluster describe them: a handful of queries per shard, however many tables are asked for."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.schemas import TableSchema, scale_of
from backfill_pipeline.stores.clickhouse import ClickHouse, ShardStore

_TABLES = """
SELECT name, engine, engine_full, sorting_key,
       arrayMap((d, t) -> concat(d, '.', t), dependencies_database, dependencies_table)
FROM system.tables WHERE database = {database:String} AND name IN {tables:Array(String)}
"""
_DISTRIBUTED = """
SELECT name, engine_full FROM system.tables
WHERE database = {database:String} AND name IN {distributed:Array(String)} AND engine = 'Distributed'
"""
_COLUMNS = """
SELECT table, groupArray(name), groupArray(type) FROM (
    SELECT table, name, type FROM system.columns
    WHERE database = {database:String} AND table IN {tables:Array(String)} ORDER BY table, position
) GROUP BY table
"""
_PROJECTIONS = """
SELECT table, groupArray(name) FROM system.projections
WHERE database = {database:String} AND table IN {tables:Array(String)} GROUP BY table
"""
_LARGEST = """
SELECT table, max(bytes_on_disk) FROM system.parts
WHERE active AND database = {database:String} AND table IN {tables:Array(String)} GROUP BY table
"""
_FREE = "SELECT min(unreserved_space) FROM system.disks WHERE type != 'Broken'"


class _Described(NamedTuple):
    """What one shard says of the tables that were asked for, each fact by table; a fact that it has not is absent."""

    tables: Mapping[str, tuple[Any, ...]]
    distributed: Mapping[str, str]
    columns: Mapping[str, Mapping[str, str]]
    projections: Mapping[str, Sequence[str]]
    largest: Mapping[str, int]
    free: int


def read_schemas(clickhouse: ClickHouse, tables: Sequence[str]) -> tuple[TableSchema, ...]:
    """Every table on every shard.

    Raises:
        PipelineError: MISSING, naming the table and the shard.
    """
    database = clickhouse.address.database
    return tuple(schema for shard in clickhouse.shards for schema in _of_shard(shard, database, tables))


def first_schemas(clickhouse: ClickHouse, tables: Sequence[str]) -> Mapping[str, TableSchema]:
    """The tables, by name, as the first shard has them.

    Raises:
        PipelineError: MISSING, naming the table and the shard.
    """
    return {s.table: s for s in _of_shard(clickhouse.shards[0], clickhouse.address.database, tables)}


def _of_shard(shard: ShardStore, database: str, tables: Sequence[str]) -> list[TableSchema]:
    """Local tables as the shard's server describes them (system.tables, .columns, .projections, .parts)."""
    described = _describe(shard, database, tables)
    for table in tables:
        if table not in described.tables:
            raise _no_table(shard, database, table)
    return [_schema(table, described) for table in tables]


def _describe(shard: ShardStore, database: str, tables: Sequence[str]) -> _Described:
    at = {"database": database, "tables": list(tables), "distributed": [f"{t}_d" for t in tables]}
    return _Described(
        tables={name: tuple(facts) for name, *facts in shard.query(_TABLES, at)},
        distributed=dict(shard.query(_DISTRIBUTED, at)),
        columns={table: dict(zip(names, types, strict=True)) for table, names, types in shard.query(_COLUMNS, at)},
        projections=dict(shard.query(_PROJECTIONS, at)),
        largest=dict(shard.query(_LARGEST, at)),
        free=int(shard.scalar(_FREE)),
    )


def _schema(table: str, described: _Described) -> TableSchema:
    engine, engine_full, sorting_key, views = described.tables[table]
    columns, version = described.columns.get(table, {}), _version_column(engine_full)
    return TableSchema(
        table=table,
        columns=columns,
        engine=engine,
        sorting_key=sorting_key,
        version_column=version,
        version_scale=scale_of(columns.get(version or "", "")),
        sharding_key=_sharding_key(described.distributed.get(f"{table}_d", "")),
        views=tuple(views),
        projections=tuple(described.projections.get(table, ())),
        largest_part_bytes=int(described.largest.get(table, 0)),
        free_disk_bytes=described.free,
    )


def _no_table(shard: ShardStore, database: str, table: str) -> PipelineError:
    return PipelineError(
        f"ClickHouse has no table {database}.{table}",
        where=f"ClickHouse {shard}",
        why="system.tables does not list it",
        next_step="create it, or correct `clickhouse.database` in the configuration",
        kind=Kind.MISSING,
        code="60",
    )


def _version_column(engine_full: str) -> str | None:
    """Last plain argument of ReplacingMergeTree: the others are a path and a replica in quotes, or is_deleted."""
    arguments = [a for a in _arguments(engine_full) if re.fullmatch(r"\w+", a)]
    return arguments[0] if arguments else None


def _sharding_key(engine_full: str) -> str | None:
    """Fourth argument of Distributed, which may have fewer."""
    arguments = _arguments(engine_full)
    return arguments[3] if len(arguments) > 3 else None


def _arguments(engine_full: str) -> list[str]:
    """Arguments of `Engine(a, f(b, c))...`, split at the top level."""
    start = engine_full.find("(")
    if start < 0:
        return []
    arguments: list[str] = []
    depth, quoted, current = 0, False, ""
    for char in engine_full[start + 1 :]:
        quoted ^= char == "'"
        depth += 0 if quoted else {"(": 1, ")": -1}.get(char, 0)
        if depth < 0:
            break
        if char == "," and depth == 0 and not quoted:
            arguments, current = [*arguments, current.strip()], ""
        else:
            current += char
    return [*arguments, current.strip()] if current.strip() else arguments
