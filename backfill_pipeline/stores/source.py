"""What PostgreSQL says must be in the target: counts and fingerprints per day, from one snapshot.

The SQL lies in sql/verify, a file per dataset and table; it shares nothing with what loads.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from typing import Any

from psycopg import Connection

from backfill_pipeline.domain.datasets import Dataset, Target
from backfill_pipeline.domain.verdicts import Sums, TableSum, by_profile
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.stores.sql.verify.fingerprints import compared, postgres_fingerprint

_PER_DAY = """
SELECT profile_id, ({day} AT TIME ZONE 'UTC')::date, count(*), coalesce(sum({fingerprint}), 0)
FROM ({rows}) AS r GROUP BY 1, 2
"""
_LONGEST = "SELECT max(conversation_end_time - conversation_start_time) FROM ({rows}) AS r"


def source_sums(
    postgres: Postgres,
    dataset: Dataset,
    customer: str,
    profiles: Sequence[str],
    window: Window,
    columns: Mapping[str, Mapping[str, str]],
    *,
    fingerprints: bool = True,
) -> Mapping[str, Sums]:
    """Rows and fingerprints per profile, day and table.

    Args:
        columns: per target table the columns that the server has; only these can be compared.
        fingerprints: False leaves them 0, which is cheaper where only rows are wanted.

    Raises:
        PipelineError: MISSING naming the table or column, RETRY, or UNREACHABLE naming the address.
    """
    values = window_values(customer, profiles, window)
    with postgres.snapshot() as connection:
        per_table = {
            t.table: _per_day(connection, dataset, t, _fingerprint(t, columns, fingerprints), values)
            for t in dataset.targets
        }
    return by_profile(per_table, profiles, window.days)


ALL_TIME = {"start": datetime(1900, 1, 1, tzinfo=UTC), "end": datetime(2300, 1, 1, tzinfo=UTC)}


def window_values(customer: str, profiles: Sequence[str], window: Window) -> dict[str, Any]:
    """What the files of sql/verify are given."""
    return {"customer": customer, "profiles": list(profiles), "start": window.start_time, "end": window.end_time}


def longest_conversation(
    postgres: Postgres, dataset: Dataset, customer: str, profiles: Sequence[str], window: Window
) -> timedelta | None:
    """How long the longest of the window's conversations took; None where there is none, or nobody asks for it."""
    if not dataset.reaches_back:
        return None
    sql = _LONGEST.format(rows=statement(f"{dataset.name}_{dataset.main.table}"))
    with postgres.snapshot() as connection:
        found = connection.execute(sql.encode(), window_values(customer, profiles, window)).fetchone()
    return found[0] if found else None


def _per_day(
    connection: Connection[Any], dataset: Dataset, target: Target, fingerprint: str, values: Mapping[str, Any]
) -> dict[tuple[str, date], TableSum]:
    sql = _PER_DAY.format(
        day=target.day_column,
        fingerprint=fingerprint,
        rows=statement(f"{dataset.name}_{target.table}"),
    )
    rows = connection.execute(sql, values).fetchall()
    return {(profile, day): TableSum(count, int(fingerprint)) for profile, day, count, fingerprint in rows}


def _fingerprint(target: Target, columns: Mapping[str, Mapping[str, str]], is_wanted: bool) -> str:
    return postgres_fingerprint(compared(target, columns[target.table])) if is_wanted else "0"


def statement(name: str) -> str:
    """A file of the folder; `{other}` in it stands for another one."""
    text = resources.files("backfill_pipeline.stores.sql.verify").joinpath(f"{name}.sql").read_text(encoding="utf-8")
    return re.sub(r"\{(\w+)\}", lambda found: statement(found[1]), text)
