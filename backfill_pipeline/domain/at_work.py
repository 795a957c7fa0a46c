"""What runs now: windows under a lease, launches without a run yet, and executions that no run follows. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.retries import Of
from backfill_pipeline.domain.status import (
    Held,
    Launched,
    LedgerView,
    OpenExecution,
    Running,
    Signals,
    Standing,
    Stranger,
    standing,
)
from backfill_pipeline.domain.windows import spans


def running(signals: Signals) -> Iterator[Running]:
    ledger = signals.ledger or LedgerView()
    mine = _chosen_assets(signals)
    gone = {g.attempt_id for g in ledger.emptied}
    for held in sorted(ledger.held, key=lambda h: h.since):
        if held.of in mine:
            yield _progress(signals, held, is_emptied=held.attempt_id in gone)


def _chosen_assets(signals: Signals) -> set[Of]:
    return {of for c in signals.chosen for of in c.assets}


def launched(signals: Signals) -> Iterator[Launched]:
    """Of somebody who was asked for."""
    mine = _chosen_assets(signals)
    return (each for each in signals.launched or () if mine & set(each.of))


def _is_ending(signals: Signals, run_id: str) -> bool | None:
    return None if signals.runs is None else any(r.is_ending for r in signals.runs if r.run_id == run_id)


def _progress(signals: Signals, held: Held, *, is_emptied: bool) -> Running:
    told = signals.open.get(held.of.cluster)
    mine = [e for e in told or () if e.attempt_id == held.attempt_id]
    done, total = _sum(e.done for e in mine), _sum(e.total for e in mine)
    seconds = max(((signals.now - e.started_at).total_seconds() for e in mine), default=0.0)
    speed = done / seconds if done and seconds > 0 else None
    left = max(total - done, 0) / speed if speed and total is not None and done is not None else None
    return Running(
        *(held.of.cluster, held.of.customer, held.of.dataset, spans(held.days), held.run_id, held.attempt_id),
        since=held.since,
        is_emptied=is_emptied,
        executions=None if told is None else len(mine),
        unit=DATASETS[held.of.dataset].unit,
        done=done,
        total=total,
        per_second=speed,
        seconds_left=left,
        heartbeat_age_seconds=silence(mine, signals.now),
        is_ending=_is_ending(signals, held.run_id),
        never_beat=None if told is None else never_beat(mine),
    )


def strangers(signals: Signals) -> Iterator[Stranger]:
    for cluster, executions in signals.open.items():
        for each in sorted(executions, key=lambda e: e.started_at):
            whose = standing(each, signals.attempts)
            if whose is not Standing.FOLLOWED:
                yield _stranger(cluster, each, whose, signals.now)


def _stranger(cluster: str, each: OpenExecution, whose: Standing, now: datetime) -> Stranger:
    span = f"[{each.start_time}, {each.end_time})" if each.start_time and each.end_time else None
    who = (cluster, each.workflow_id, each.type, each.customer, each.profile, span, whose, each.started_at)
    return Stranger(*who, each.done, each.total, silence([each], now), each.last_heartbeat is None)


def silence(executions: Iterable[OpenExecution], now: datetime) -> float | None:
    """Seconds, of the one that has been silent for longest; since its start if it never beat: it may never have begun."""
    ages = ((now - (e.last_heartbeat or e.started_at)).total_seconds() for e in executions)
    return max((max(age, 0.0) for age in ages), default=None)


def never_beat(executions: Iterable[OpenExecution]) -> int:
    return sum(e.last_heartbeat is None for e in executions)


def _sum(values: Iterable[int | None]) -> int | None:
    """Nothing, or one that is unknown, makes the whole unknown."""
    known = list(values)
    return sum(v for v in known if v is not None) if known and None not in known else None
