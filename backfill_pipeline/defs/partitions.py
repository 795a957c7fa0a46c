"""Daily partitions: one plain definition per cluster for its gate, and an own, unequal one for every asset.

Dagster merges assets that share a partitions definition into one run of a backfill; 86 customers would then run one after
another in one process. An exclusion before the first day makes definitions with the same days unequal (dagster-facts, 7).
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.windows import Window, parse_day, windows_of

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
_BEFORE_EVERYTHING = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_TO_2017 = 1_480_000_000


def plain(first_day: date) -> dg.DailyPartitionsDefinition:
    return dg.DailyPartitionsDefinition(first_day.isoformat(), timezone="UTC")


def own(first_day: date, key: dg.AssetKey) -> dg.DailyPartitionsDefinition:
    """The same days as `plain`, unequal to every other asset's; it stays the same when the configuration is reordered."""
    digest = int.from_bytes(hashlib.sha256(key.to_user_string().encode()).digest()[:8], "big")
    exclusion = _BEFORE_EVERYTHING + timedelta(seconds=digest % _SECONDS_TO_2017)
    return dg.DailyPartitionsDefinition(first_day.isoformat(), timezone="UTC", exclusions=[exclusion])


def run_window(context: dg.OpExecutionContext) -> Window:
    """The run's one window.

    Raises:
        Refused: the run has no days, a reversed range, or days with a hole; one delete and one Job can't cover them.
    """
    try:
        return window_of(context.partition_keys)
    except dg.DagsterInvariantViolationError:
        raise _not_one_window("none are given") from None


def window_of(partition_keys: Iterable[str]) -> Window:
    """The window that these days are.

    Raises:
        Refused: they are none, or have a hole.
    """
    windows = windows_of(parse_day(k) for k in partition_keys)
    if len(windows) == 1:
        return windows[0]
    raise _not_one_window(f"they are in {len(windows)} parts" if windows else "the range is empty or reversed")


def _not_one_window(why: str) -> Refused:
    return Refused(
        "A run covers one window of consecutive days; nothing was touched",
        where="the days of this run",
        why=why,
        next_step=f"choose days on the asset's or the backfill's page, or launch with the tags {RANGE_START} and "
        f"{RANGE_END}, both inclusive",
    )


def range_tags(window: Window) -> dict[str, str]:
    """Tags that give a run its days."""
    return {RANGE_START: window.days[0].isoformat(), RANGE_END: window.days[-1].isoformat()}
