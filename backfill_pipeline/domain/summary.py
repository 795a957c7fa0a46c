"""What the gathered signals add up to: a state for every day, sums per cluster, and who needs somebody. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from textwrap import shorten
from typing import TypeVar

from backfill_pipeline.domain.at_work import launched, never_beat, running, silence, strangers
from backfill_pipeline.domain.pace import Pace, pace_of, side_by_side
from backfill_pipeline.domain.retries import DayState, Ended, Of, due_at, given_up, lift_command, redo_command
from backfill_pipeline.domain.retrying import why_idle
from backfill_pipeline.domain.status import (
    Attention,
    Chosen,
    ClusterStatus,
    DayCounts,
    Gone,
    Held,
    LedgerView,
    Paused,
    Proved,
    Signals,
    Status,
    Trouble,
)
from backfill_pipeline.domain.windows import spans

T = TypeVar("T", Proved, Held, Gone)
BY_HAND = "cancelled by hand"
MOST_SEEN = 200  # characters of what was seen, in a cell of a table
NOT_RIGHT = "both sides were counted and differ"


@dataclass(frozen=True)
class Days:
    """The days of one asset, each in one of these; failed: also why and when it is due."""

    of: Of
    running: frozenset[date]
    emptied: Mapping[date, Gone]
    failures: Mapping[date, DayState]  # that count, whatever else the day is
    wrong: frozenset[date]  # a bad verdict that nobody has told as a failure yet
    done: Mapping[date, Proved]
    all: frozenset[date]

    @cached_property
    def troubled(self) -> Mapping[date, DayState]:
        """Failures of days that are nothing more urgent."""
        return {d: s for d, s in self.failures.items() if d not in self.running and d not in self.emptied}


def summed(signals: Signals) -> Status:
    days = _by_asset(signals) if signals.ledger is not None else {}
    return Status(
        asked_at=signals.now,
        clusters=tuple(_cluster(signals, c, days) for c in signals.chosen),
        attention=tuple(sorted(_attention(signals, days), key=_most_urgent)),
        running=tuple(running(signals)),
        strangers=tuple(strangers(signals)),
        unasked=signals.unasked,
        launched=tuple(launched(signals)),
        cut=signals.cut,
    )


# A state for every day.


def _by_asset(signals: Signals) -> dict[Of, Days]:
    ledger = signals.ledger or LedgerView()
    proved, held = _grouped(ledger.proved), _grouped(ledger.held)
    gone, failed = _grouped(ledger.emptied), _failed(ledger.failed)
    return {
        of: _days(of, c, proved.get(of, ()), held.get(of, ()), gone.get(of, ()), failed.get(of, ()))
        for c in signals.chosen
        for of in c.assets
    }


def _grouped(found: Iterable[T]) -> dict[Of, list[T]]:
    groups: dict[Of, list[T]] = {}
    for each in found:
        groups.setdefault(each.of, []).append(each)
    return groups


def _failed(states: Iterable[DayState]) -> dict[Of, list[DayState]]:
    groups: dict[Of, list[DayState]] = {}
    for state in states:
        groups.setdefault(state.last.of, []).append(state)
    return groups


def _days(
    of: Of,
    chosen: Chosen,
    proved: Sequence[Proved],
    held: Sequence[Held],
    gone: Sequence[Gone],
    failed: Sequence[DayState],
) -> Days:
    everything = frozenset(chosen.window.days if chosen.window else ())
    newest = {p.day: p for p in proved if p.day in everything}
    running = frozenset(d for h in held for d in h.days) & everything
    emptied = {d: g for g in gone for d in g.days if d in everything and d not in running}
    failures = {s.day: s for s in failed if s.day in everything and _counts(s, newest.get(s.day), s.day in emptied)}
    taken = running | emptied.keys() | failures.keys()
    free = {d: p for d, p in newest.items() if d not in taken}
    good = {d: p for d, p in free.items() if p.verdict.is_good}
    return Days(of, running, emptied, failures, frozenset(free.keys() - good.keys()), good, everything)


def _counts(state: DayState, proved: Proved | None, is_emptied: bool) -> bool:
    """A day that was proved after it failed is right, also before the retry sensor has seen that.

    So is one whose run was cancelled before it deleted anything: what was proved is still there.
    """
    if proved and proved.verdict.is_good:
        is_untouched = state.last.ended is Ended.CANCELLED and not is_emptied
        return state.is_newer_than(proved.recorded_at) and not is_untouched
    return state.last.ended is not Ended.DONE


def _counted(days: Days, signals: Signals) -> DayCounts:
    kinds = Counter(_trouble(s, signals) for s in days.troubled.values())
    failed = kinds[Trouble.FAILED] + len(days.wrong)
    known = len(days.done) + len(days.running) + len(days.emptied) + len(days.troubled) + len(days.wrong)
    return DayCounts(
        done=len(days.done),
        running=len(days.running),
        failed=failed,
        cancelled=kinds[Trouble.CANCELLED],
        quarantined=kinds[Trouble.QUARANTINED],
        emptied=len(days.emptied),
        left=len(days.all) - known,
    )


def _trouble(state: DayState, signals: Signals) -> Trouble:
    if state.last.ended is Ended.CANCELLED:
        return Trouble.CANCELLED
    return Trouble.QUARANTINED if given_up(state, signals.policy) else Trouble.FAILED


# A row per cluster.


def _cluster(signals: Signals, chosen: Chosen, by_asset: Mapping[Of, Days]) -> ClusterStatus:
    is_told = signals.ledger is not None
    days = [by_asset[of] for of in chosen.assets] if is_told else []
    pace = sum((_paces(signals).get(d.of, Pace()) for d in days), Pace())
    found = signals.open.get(chosen.cluster)
    runs = _runs(signals, chosen)
    return ClusterStatus(
        cluster=chosen.cluster,
        customers=len({of.customer for of in chosen.assets}),
        first_day=chosen.window.days[0] if chosen.window else None,
        last_day=chosen.window.days[-1] if chosen.window else None,
        days=sum((_counted(d, signals) for d in days), DayCounts()) if is_told else None,
        rows=sum(p.rows for d in days for p in d.done.values()) if is_told else None,
        rows_per_second=pace.rows_per_second,
        seconds_left=_seconds_left(signals, chosen, days) if is_told else None,
        open_executions=None if found is None else len(found),
        heartbeat_age_seconds=None if found is None else silence(found, signals.now),
        never_beat=None if found is None else never_beat(found),
        queued_runs=None if runs is None else sum(runs),
        started_runs=None if runs is None else len(runs) - sum(runs),
        diagnosis="; ".join(_diagnosis(signals, chosen, days)),
    )


def _runs(signals: Signals, chosen: Chosen) -> list[bool] | None:
    """Whether each of the cluster's runs still waits."""
    if signals.runs is None:
        return None
    mine = set(chosen.assets)
    return [run.is_queued for run in signals.runs if mine & set(run.of)]


def _seconds_left(signals: Signals, chosen: Chosen, days: Sequence[Days]) -> float | None:
    means = _mean_rows(days)
    parts = [(d.of.customer, _missing_seconds(signals, chosen, d, means)) for d in days]
    return side_by_side(parts, chosen.max_runs)


def _missing_seconds(signals: Signals, chosen: Chosen, days: Days, means: Mapping[Of, float]) -> float | None:
    """Days that were never done are taken for as large as the others of their customer, else of their dataset."""
    missing = len(days.all) - len(days.done)
    if not missing:
        return 0.0
    rows = means.get(days.of, means.get(Of(chosen.cluster, "", days.of.dataset)))
    windows = -(-missing // chosen.window_days[days.of.customer])
    return None if rows is None else pace_of(_paces(signals), days.of).seconds_of(rows * missing, windows)


def _mean_rows(days: Sequence[Days]) -> dict[Of, float]:
    """Rows of a day, per asset, and per dataset under the customer ``."""
    sums: dict[Of, tuple[int, int]] = {}
    for each in days:
        for of in (each.of, Of(each.of.cluster, "", each.of.dataset)):
            count, rows = sums.get(of, (0, 0))
            sums[of] = (count + len(each.done), rows + sum(p.rows for p in each.done.values()))
    return {of: rows / count for of, (count, rows) in sums.items() if count}


def _diagnosis(signals: Signals, chosen: Chosen, days: Sequence[Days]) -> Iterator[str]:
    """What holds the cluster up: a pause, a system that is away, the cause that most failed days have."""
    yield from (_paused_because(p) for p in _pauses(signals, chosen))
    yield from (f"{u.system} was not asked" for u in signals.unasked if u.cluster == chosen.cluster)
    causes = Counter(_cause(s) for d in days for s in d.failures.values())
    yield from (f"{cause}: {count} day{'s' * (count > 1)}" for cause, count in causes.most_common(2))


def _cause(state: DayState) -> str:
    """A person's own doing has no cause to look for."""
    by_person = {Ended.CANCELLED: BY_HAND, Ended.ASKED: str(Ended.ASKED)}
    return by_person.get(state.last.ended, str(state.last.cause))


# Who needs somebody.


def _attention(signals: Signals, by_asset: Mapping[Of, Days]) -> Iterator[Attention]:
    if signals.asked_sensor and (why := why_idle(signals.sensor, signals.now)):
        yield Attention(Trouble.RETRIES, None, None, None, (), 0, why)
    for chosen in signals.chosen:
        yield from (_of_cluster(p) for p in _pauses(signals, chosen))
    for days in by_asset.values():
        yield from _emptied(signals, days)
        yield from _failing(signals, days)
        yield from _wrong(days)


def _most_urgent(attention: Attention) -> tuple[int, str, str, str]:
    who = (attention.cluster or "", attention.customer or "", attention.dataset or "")
    return (list(Trouble).index(attention.trouble), *who)


def _of_cluster(pause: Paused) -> Attention:
    trouble = Trouble.STOPPED if pause.is_stopped else Trouble.PAUSED
    command = f"backfill resume {pause.cluster}"
    return Attention(trouble, pause.cluster, None, None, (), 0, _paused_because(pause), command=command)


def _emptied(signals: Signals, days: Days) -> Iterator[Attention]:
    if not days.emptied:
        return
    since = min(g.since for g in days.emptied.values())
    failures = [days.failures[d] for d in sorted(days.emptied) if d in days.failures]
    why = f"deleted since {since:%Y-%m-%d %H:%M} UTC, not proved to be back; {_because(failures, signals)}"
    told = _attention_of(Trouble.EMPTIED, days.of, days.emptied, why, signals, failures)
    is_known = len(failures) == len(days.emptied)  # else `backfill retry` finds nothing to do for the others
    yield told if is_known else replace(told, command=redo_command(days.of, days.emptied))


def _failing(signals: Signals, days: Days) -> Iterator[Attention]:
    kinds: dict[Trouble, list[DayState]] = {}
    for _, state in sorted(days.troubled.items()):
        kinds.setdefault(_trouble(state, signals), []).append(state)
    for trouble, states in kinds.items():
        yield _attention_of(trouble, days.of, [s.day for s in states], _because(states, signals), signals, states)


def _wrong(days: Days) -> Iterator[Attention]:
    if days.wrong:
        yield _row(Trouble.FAILED, days.of, days.wrong, NOT_RIGHT)


def _attention_of(
    trouble: Trouble, of: Of, days: Iterable[date], why: str, signals: Signals, states: Sequence[DayState]
) -> Attention:
    retried = [s for s in states if _trouble(s, signals) is Trouble.FAILED]
    due = min((due_at(s, signals.policy) for s in retried), default=None)
    by_hand = [s for s in states if _trouble(s, signals) is not Trouble.FAILED]
    return _row(trouble, of, days, why, due, lift_command(by_hand) if by_hand else None)


def _row(
    trouble: Trouble, of: Of, days: Iterable[date], why: str, due: datetime | None = None, command: str | None = None
) -> Attention:
    wanted = sorted(set(days))
    return Attention(trouble, of.cluster, of.customer, of.dataset, spans(wanted), len(wanted), why, due, command)


def _because(states: Sequence[DayState], signals: Signals) -> str:
    """Why the newest of these failed, and why nobody tries it again."""
    if not states:
        return "nobody has told why yet"
    newest = max(states, key=lambda s: s.last.ended_at)
    if newest.last.ended is Ended.CANCELLED:
        return BY_HAND
    if reason := given_up(newest, signals.policy):
        return f"{reason}. Seen: {shorten(newest.last.evidence, MOST_SEEN, placeholder=' …')}"
    return f"{newest.last.cause}, retry {newest.last.retry + 1}"


def _paused_because(pause: Paused) -> str:
    what = "stopped" if pause.is_stopped else f"paused by {pause.by_whom}"
    return f"{what} since {pause.since:%Y-%m-%d %H:%M} UTC: {pause.why}"


def _pauses(signals: Signals, chosen: Chosen) -> list[Paused]:
    return [p for p in (signals.ledger.paused if signals.ledger else ()) if p.cluster == chosen.cluster]


def _paces(signals: Signals) -> Mapping[Of, Pace]:
    return signals.ledger.paces if signals.ledger else {}
