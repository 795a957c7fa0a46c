"""Days that failed, as the retry sensor knows them: a table of the ledger, read and written in bulk."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from operator import attrgetter
from typing import Any

from psycopg.types.json import Jsonb

from backfill_pipeline.domain.causes import Remedy
from backfill_pipeline.domain.retries import DayState, Ended, Of, Outcome
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.ledger import Ledger, storable

REMEMBERED = timedelta(days=7)  # a day that is done; runs are read with an overlap of a minute


def read_failed_days(ledger: Ledger) -> dict[tuple[Of, date], DayState]:
    """Every day that failed and what became of it, done ones of the last days too."""
    with ledger.transaction() as connection:
        rows = connection.execute(_READ).fetchall()
    return {(s.last.of, s.day): s for s in map(_state, rows)}


def failed_days_of(ledger: Ledger, of: Of, window: Window) -> dict[date, DayState]:
    """Those of one customer's dataset in a window."""
    with ledger.transaction() as connection:
        rows = connection.execute(
            _READ_SOME, [of.cluster, of.customer, of.dataset, window.start, window.end]
        ).fetchall()
    return {s.day: s for s in map(_state, rows)}


def write_failed_days(ledger: Ledger, states: Iterable[DayState]) -> None:
    """Keep these states; one that is older than what is kept changes nothing, whoever wrote that."""
    given = list(states)
    if not given:
        return
    with ledger.transaction() as connection:
        connection.execute(_WRITE, {name: [get(s) for s in given] for name, get in _COLUMNS.items()})
        connection.execute(
            "DELETE FROM ledger.failed_days WHERE ended = 'done' AND ended_at < now() - %s AND NOT shown", [REMEMBERED]
        )


def mark_shown(ledger: Ledger, states: Iterable[DayState]) -> None:
    """Keep whether their quarantine is shown, and by which look and of which run; how they ended stays as it is kept."""
    given = list(states)
    if given:
        with ledger.transaction() as connection:
            connection.execute(_SHOW, {name: [get(s) for s in given] for name, get in _SHOWN.items()})


_COLUMNS: Mapping[str, Any] = {
    "cluster": attrgetter("last.of.cluster"),
    "customer": attrgetter("last.of.customer"),
    "dataset": attrgetter("last.of.dataset"),
    "day": attrgetter("day"),
    "first_failed_at": attrgetter("first_failed_at"),
    "run_id": attrgetter("last.run_id"),
    "ended": lambda s: s.last.ended.value,
    "ended_at": attrgetter("last.ended_at"),
    "retry": attrgetter("last.retry"),
    "job_days": attrgetter("last.job_days"),
    "cause": lambda s: str(s.last.cause),
    "remedy": lambda s: str(s.last.remedy),
    "evidence": attrgetter("last.evidence"),
    "kept": lambda s: Jsonb(storable(s.last.kept)),
    "waiting_since": attrgetter("waiting_since"),
    "unknown": attrgetter("unknown"),
    "whole_window": attrgetter("last.whole_window"),
}
_KEYS = ("cluster", "customer", "dataset", "day")
_SHOWN: Mapping[str, Any] = {
    **{name: _COLUMNS[name] for name in _KEYS},
    "shown": attrgetter("shown"),
    "shown_by": attrgetter("shown_by"),
    "shown_run": attrgetter("shown_run"),
}
_READ = f"SELECT {', '.join(_COLUMNS)}, shown, shown_by, shown_run FROM ledger.failed_days".encode()  # noqa: S608 - names of our own columns
_READ_SOME = _READ + b" WHERE cluster = %s AND customer = %s AND dataset = %s AND day >= %s AND day < %s"
_TYPES = {
    **dict.fromkeys(
        ("cluster", "customer", "dataset", "run_id", "ended", "cause", "remedy", "evidence", "shown_run"), "text"
    ),
    **dict.fromkeys(("first_failed_at", "ended_at", "waiting_since"), "timestamptz"),
    **dict.fromkeys(("retry", "job_days", "unknown"), "int"),
    "day": "date",
    "kept": "jsonb",
    **dict.fromkeys(("shown", "whole_window"), "boolean"),
    "shown_by": "bigint",
}
_WRITE = f"""
INSERT INTO ledger.failed_days AS f ({", ".join(_COLUMNS)})
SELECT * FROM unnest({", ".join(f"%({c})s::{_TYPES[c]}[]" for c in _COLUMNS)})
ON CONFLICT ({", ".join(_KEYS)}) DO UPDATE
SET ({", ".join(c for c in _COLUMNS if c not in _KEYS)})
  = ({", ".join(f"excluded.{c}" for c in _COLUMNS if c not in _KEYS)})
WHERE f.ended_at < excluded.ended_at
""".encode()  # noqa: S608 - names of our own columns
_SHOW = f"""
UPDATE ledger.failed_days AS f SET shown = s.shown, shown_by = s.shown_by, shown_run = s.shown_run
FROM unnest({", ".join(f"%({c})s::{_TYPES[c]}[]" for c in _SHOWN)}) AS s ({", ".join(_SHOWN)})
WHERE {" AND ".join(f"f.{k} = s.{k}" for k in _KEYS)}
""".encode()  # noqa: S608 - names of our own columns


def _state(row: Sequence[Any]) -> DayState:
    got = dict(zip((*_COLUMNS, "shown", "shown_by", "shown_run"), row, strict=True))
    of = Of(got["cluster"], got["customer"], got["dataset"])
    more = {n: got[n] for n in ("retry", "job_days", "cause", "evidence", "whole_window", "kept")}
    ended, remedy = Ended(got["ended"]), Remedy(got["remedy"])
    last = Outcome(of, (got["day"],), got["run_id"], ended, got["ended_at"], remedy=remedy, **more)
    states = {n: got[n] for n in ("waiting_since", "shown", "shown_by", "shown_run")}
    return DayState(got["day"], got["first_failed_at"], last, unknown=_unknown(got["unknown"], last), **states)


def _unknown(counted: int | None, last: Outcome) -> int:
    """Of a row of an older version, which gave up what nobody knew at its first retry."""
    return counted if counted is not None else last.retry + 1 if last.remedy is Remedy.ONCE else 0
