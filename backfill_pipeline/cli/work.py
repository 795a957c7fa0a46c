"""How runs and backfills are told: a line for each, and not a thousand of them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from datetime import date

    from backfill_pipeline.clients.dagster import RunState
    from backfill_pipeline.domain.retries import Of
    from backfill_pipeline.operations.survey import Survey

T = TypeVar("T")

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


def taken(found: "Survey", hint: str) -> Iterator[str]:
    """Who is at work on what was asked for, and what is done, an asset per line. hint: what becomes of days that are done."""
    from backfill_pipeline.report.amounts import counted

    busy = _by_asset(found.at_work)
    done = _by_asset({at: when for at, when in found.done.items() if at not in found.at_work})
    for of in found.asked:
        who = f"{of.dataset} of {of.customer} on {of.cluster}"
        for by in sorted(set(busy.get(of, ()))):
            yield f"at work: {who}: {by}"
        if times := done.get(of):
            yield f"done: {who}: {counted(len(times), 'day')}, the last at {max(times):%Y-%m-%d %H:%M} UTC: {hint}"


def _by_asset(days: "Mapping[tuple[Of, date], T]") -> "dict[Of, list[T]]":
    found: dict[Of, list[T]] = {}
    for (of, _), value in days.items():
        found.setdefault(of, []).append(value)
    return found
