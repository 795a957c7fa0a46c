"""How runs and backfills are told: a line for each, and not a thousand of them."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backfill_pipeline.clients.dagster import RunState

SHOWN = 20  # of each list
ASSETS = 3  # of a run or backfill


def cut(lines: list[str], what: str) -> Iterator[str]:
    yield from lines[:SHOWN]
    if len(lines) > SHOWN:
        yield f"and {len(lines) - SHOWN:,} more {what}"


def assets(keys: Iterable[tuple[str, ...]]) -> str:
    """A gate is none, unless it is all there is."""
    known = sorted(keys)
    told = [f"{key[0]} of {key[2]} on {key[1]}" for key in known if len(key) == 3] or ["/".join(k) for k in known]
    return ", ".join(told[:ASSETS]) + (f" and {len(told) - ASSETS:,} more" if len(told) > ASSETS else "")


def work_of(run: "RunState") -> str:
    """Whose days it does, and which."""
    from backfill_pipeline.defs.ended_runs import days_of
    from backfill_pipeline.domain.windows import windows_of

    return f"{assets(run.keys)}, {', '.join(map(str, windows_of(days_of(run.tags)))) or 'no days'}"
