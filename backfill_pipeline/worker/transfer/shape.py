"""Source rows in the columns and types of the target table. Pure: Arrow in, Arrow out."""

import re
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from backfill_pipeline.domain.datasets import Target
from backfill_pipeline.domain.errors import PipelineError, Refused
from backfill_pipeline.domain.schemas import TableSchema, scale_of, schema_mistakes
from backfill_pipeline.worker.transfer.slices import Request

_WRAPPED = re.compile(r"(?:Nullable|LowCardinality)\((.*)\)")
_TYPES = {
    "String": pa.string(),
    "Bool": pa.bool_(),
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    **{f"Int{bits}": getattr(pa, f"int{bits}")() for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": getattr(pa, f"uint{bits}")() for bits in (8, 16, 32, 64)},
}
_UNITS = ("s", "ms", "us", "ns")  # by thousands: a scale of 4 to 6 is sent in microseconds
_FLOORS = {"s": "second", "ms": "millisecond", "us": "microsecond"}


def refuse_unfit(target: Target, schema: TableSchema) -> None:
    """Raises Refused, naming every difference that changes a key or the version of rows."""
    mistakes = schema_mistakes(target, schema)
    if mistakes:
        raise Refused(
            f"The target {schema.table} is not as it must be",
            where=f"ClickHouse table {schema.table}",
            why="; ".join(mistakes),
            next_step="correct the table; nothing was written",
        )


def fitted(rows: pa.Table, target: Target, schema: TableSchema, request: Request, version: datetime) -> pa.Table:
    """The rows with the target's columns, names and types; columns that the target lacks are left out.

    Raises:
        PipelineError: STOP, naming the column whose value the target can't hold.
    """
    same: dict[str, str | datetime] = {
        "customer_id": request.customer,
        "profile_id": request.profile,
        target.version: version,
    }
    arrays: dict[str, pa.Array | pa.ChunkedArray] = {}
    for column, type_name in schema.columns.items():
        if column in same:
            arrays[column] = _repeated(same[column], rows.num_rows, arrow_type(type_name))
        elif column in rows.column_names:
            arrays[column] = _fitted_column(rows[column], type_name, f"{schema.table}.{column}")
    return pa.table(arrays)


def arrow_type(type_name: str) -> pa.DataType | None:
    """Arrow's type for a ClickHouse type; None: let the server convert what PostgreSQL gave."""
    inner = plain_type(type_name)
    scale = scale_of(inner)
    if scale is not None:
        return pa.timestamp(_UNITS[-(-scale // 3)], "UTC")
    return _TYPES.get(inner)


def plain_type(type_name: str) -> str:
    """Without Nullable and LowCardinality."""
    found = _WRAPPED.fullmatch(type_name)
    return plain_type(found[1]) if found else type_name


def _repeated(value: str | datetime, times: int, type_: pa.DataType | None) -> pa.Array:
    """One value for every row; text as a dictionary, so that a slice does not carry it a hundred thousand times."""
    if isinstance(value, str):
        indices = pa.repeat(pa.scalar(0, pa.int32()), times)
        return pa.DictionaryArray.from_arrays(indices, pa.array([value], pa.string()))
    return pa.repeat(pa.scalar(value, pa.timestamp("us", "UTC")).cast(type_, safe=False), times)


def _fitted_column(column: pa.ChunkedArray, type_name: str, name: str) -> pa.ChunkedArray:
    if column.null_count and "Nullable" not in type_name:
        raise _unfit(name, f"{column.null_count} rows are NULL there and its type is {type_name}")
    wanted = arrow_type(type_name)
    if wanted is None or wanted == column.type:
        return column
    try:
        return _floored(column, wanted).cast(wanted)
    except pa.ArrowInvalid as error:
        raise _unfit(name, str(error)) from None


def _floored(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Times cut downwards: a cast would round those before 1970 up, and refuse to lose digits at all."""
    if pa.types.is_timestamp(wanted) and wanted.unit in _FLOORS:
        return pc.floor_temporal(column, unit=_FLOORS[wanted.unit])
    return column


def _unfit(name: str, why: str) -> PipelineError:
    return PipelineError(
        f"The target's column {name} can't hold a value of the source",
        where=f"ClickHouse column {name}",
        why=why,
        next_step=f"make {name} wide enough (Nullable), or correct the row in PostgreSQL",
    )
