"""The sensor that does failed days again: exactly those, when they are due, in smaller Jobs where that helps.

A tick gathers how runs ended since the last one, folds it into the ledger's table of failed days, and launches what
`domain/retries.py` says is due. What is launched is written nowhere: a day whose run waits or works is busy, and a run key
that was used launches nothing, so a tick that died half way is simply repeated. So is what it had to show and to tell: that
follows from what is, not from what changed, and counts as told once the cursor, which numbers the looks, is kept.

Where more runs ended than a look reads, as after a cursor was lost, the looks only read on until they have caught up: what
failed in one page may be done in the next.
"""

import time
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from logging import Logger

import dagster as dg

from backfill_pipeline.clients.webhook import post
from backfill_pipeline.config import Config
from backfill_pipeline.defs import tags
from backfill_pipeline.defs.assets import Built
from backfill_pipeline.defs.ended_runs import at_work, ended_retries, ended_since, outcomes_of, stored_at
from backfill_pipeline.defs.memory import UNSENT, Memory
from backfill_pipeline.defs.partitions import range_tags
from backfill_pipeline.defs.pauses import stop_cluster
from backfill_pipeline.defs.quarantine import Assets, Judged, hidden, show
from backfill_pipeline.defs.resources import Pipeline
from backfill_pipeline.domain.alerts import Alert, emptied_alert, quarantine_alerts, stopped_alert
from backfill_pipeline.domain.breaker import RECENT, Ends, is_failing, remembered
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.domain.retries import (
    TRIED_AGAIN,
    Days,
    Ended,
    Of,
    Policy,
    Retry,
    but_withdrawn,
    due,
    fold,
    given_up,
)
from backfill_pipeline.domain.retrying import SENSOR
from backfill_pipeline.stores.failed_days import mark_shown, read_failed_days, write_failed_days
from backfill_pipeline.stores.ledger import Emptied, Ledger
from backfill_pipeline.stores.pauses import Pause, read_pauses

PER_TICK = 20
SHOWING_SECONDS = 3  # each is an event that Dagster stores by itself; the rest is shown at the next look
MARKED_AT_ONCE = 25
LOOKED_AT_AGAIN = 5  # assets a look, in turns, of days that were shown as given up
REMEMBERED_EMPTIED = 1000
SENDING_SECONDS = 15  # Dagster gives a tick a minute; what the webhook has not taken by then is sent at the next one


@dataclass(frozen=True)
class Tick:
    """What one look found: failed days, what changed, what is due, what to remember.

    quarantine: days whose asset shows something else than what is, each with why it is given up; None, it no longer is.
    hidden: days whose asset no longer shows that they are given up, and each was told; some a look.
    stopped: clusters that must stop now, each with why.
    is_behind: runs that ended are not read yet, so nothing is decided.
    """

    days: Days
    changed: Days
    quarantine: tuple[Judged, ...]
    due: tuple[Retry, ...]
    stopped: Mapping[str, str]
    memory: Memory
    is_behind: bool = False
    hidden: tuple[Judged, ...] = ()

    def __str__(self) -> str:
        """Why nothing is launched."""
        if self.is_behind:
            return f"catching up: runs are read that ended until {self.memory.seen_until}; none is launched before the last"
        return f"{len(self.days)} days failed once, none is due"


@dataclass(frozen=True)
class Looker:
    """What every look needs. keys: the assets that are retried."""

    instance: dg.DagsterInstance
    ledger: Ledger
    keys: Mapping[dg.AssetKey, Of]
    policy: Policy

    @property
    def assets(self) -> Assets:
        return {of: key for key, of in self.keys.items()}

    def look(self, memory: Memory, now: datetime) -> Tick:
        """Gather, fold, write down, choose. Repeated with the same memory, it finds the same.

        A look that only reads on has no number: what the last one showed is told by the next that decides.
        """
        page = ended_since(self.instance, memory.seen_until, now)
        new = [r for r in page.records if r.dagster_run.run_id not in memory.ahead]
        outcomes = [o for r in new for o in outcomes_of(r, self.keys, now)]
        before, pauses, known = read_failed_days(self.ledger), read_pauses(self.ledger), set(self.keys.values())
        changed = fold(before, outcomes, {c: p.resumed_at for c, p in pauses.items() if p.resumed_at})
        write_failed_days(self.ledger, changed.values())
        days = {at: s for at, s in {**before, **changed}.items() if at[0] in known}
        ahead = _ahead(memory, new, now, page.until)
        ends = remembered(memory.ends, but_withdrawn(outcomes, {**before, **changed}))
        kept = replace(memory, seen_until=page.until, ends=ends, looks=memory.looks + page.is_last, ahead=ahead)
        found = Tick(days, changed, (), (), {}, kept, is_behind=not page.is_last)
        return self._decided(found, pauses, now) if page.is_last else found

    def _decided(self, found: Tick, pauses: Mapping[str, Pause], now: datetime) -> Tick:
        stopped = dict(_failing(found.memory.ends, pauses, now))
        idle = {c for c, pause in pauses.items() if pause.in_force} | stopped.keys()
        waiting = (s for (of, _), s in found.days.items() if of.cluster not in idle)
        busy, look = at_work(self.instance, self.keys), found.memory.looks
        chosen = due(waiting, self.policy, now, busy=busy, most=PER_TICK)
        missed = self._missed(found.days, chosen, now)
        days = {**found.days, **missed}
        judged = [(s, given_up(s, self.policy)) for s in days.values()]
        return replace(
            found,
            days=days,
            changed={**found.changed, **missed},
            quarantine=tuple(_wrong(judged, look)),
            hidden=tuple(self._hidden([(s, why) for s, why in judged if s.last.of not in busy], look)),
            due=tuple(r for r in chosen if not any((r.of, d) in missed for d in r.window.days)),
            stopped=stopped,
        )

    def _missed(self, days: Days, chosen: Iterable[Retry], now: datetime) -> Days:
        """Days of retries that were launched before, and ended unseen: their run keys are used, and launch nothing more.

        By a machine whose clock is far behind, or while their asset was out of the configuration.
        """
        records = ended_retries(self.instance, {r.failed_run for r in chosen})
        missed = fold(days, [o for r in records for o in outcomes_of(r, self.keys, now)])
        write_failed_days(self.ledger, missed.values())
        return missed

    def _hidden(self, judged: Iterable[Judged], look: int) -> Iterator[Judged]:
        """Some assets a look, however many have such days, and as many of their days as are shown at once, in turns too."""
        shown: dict[Of, list[Judged]] = {}
        for state, why in judged:
            if why and state.shows(True):
                shown.setdefault(state.last.of, []).append((state, why))
        turns, some = sorted(shown), min(LOOKED_AT_AGAIN, len(shown))
        for n in range(look * some, (look + 1) * some):
            of = turns[n % len(turns)]
            yield from _in_turn(hidden(self.instance, self.assets[of], shown[of]), n // len(turns))


def _in_turn(found: list[Judged], turn: int) -> list[Judged]:
    """Were it always the first, those that can't be shown would keep out all others."""
    first = turn * MARKED_AT_ONCE % (len(found) or 1)
    return (found[first:] + found[:first])[:MARKED_AT_ONCE]


def _wrong(judged: Iterable[Judged], look: int) -> Iterator[Judged]:
    """Those of a tick that died come first: it has left its number to this one, which tells what that one showed."""
    for state, why in sorted(judged, key=lambda j: (j[0].shown_by != look, j[0].last.of, j[0].day)):
        is_decided = state.last.ended is not Ended.ASKED  # the asked-for run is yet to come
        if is_decided and (state.shown_by == look or not state.shows(bool(why))):
            yield state, why


def _ahead(
    memory: Memory, new: Iterable[dg.RunRecord], now: datetime, until: datetime | None
) -> Mapping[str, datetime]:
    """Those that the next look reads again."""
    found = {r.dagster_run.run_id: at for r in new if (at := stored_at(r)) > now}
    return {run: at for run, at in {**memory.ahead, **found}.items() if until and at > until}


def _failing(ends: Ends, pauses: Mapping[str, Pause], now: datetime) -> Iterator[tuple[str, str]]:
    for cluster, of in ends.items():
        pause, recent = pauses.get(cluster), now - RECENT
        resumed = pause.resumed_at if pause and pause.resumed_at else recent
        why = is_failing(of, max(resumed, recent).timestamp())
        if why and not (pause and pause.in_force):
            yield cluster, why


def retry_sensor(config: Config, built: Built) -> dg.SensorDefinition:
    keys = {of.key: Of(of.cluster, of.customer, of.dataset) for of in built.ids}

    @dg.sensor(
        name=SENSOR,
        asset_selection=dg.AssetSelection.assets(*keys),
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"pipeline"},
        description=f"Does exactly the failed days again, at most {config.limits.retry_attempts} times, after a growing "
        "delay, in smaller Jobs where the size is what failed. What does not pass by itself is quarantined; a run "
        "cancelled by hand is left alone; a cluster where most windows fail is stopped.",
    )
    def retry_failed_days(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        pipeline: Pipeline = context.resources.pipeline
        looker = Looker(context.instance, pipeline.ledger, keys, config.limits.retry_policy)
        tick = looker.look(Memory.of(context.cursor), datetime.now(UTC))
        for cluster, why in tick.stopped.items():
            stop_cluster(context.instance, looker.ledger, cluster, why)
        shown = show_quarantine(tick, looker, context.log)
        memory = sent(config.alerts.webhook(), told(shown, looker, context.log), context.log)
        return dg.SensorResult(
            run_requests=[request_of(r) for r in tick.due],
            skip_reason=None if tick.due else str(tick),
            cursor=memory.cursor(),
        )

    return retry_failed_days


def told(tick: Tick, looker: Looker, log: Logger) -> Memory:
    """The memory with what is new to tell; all of it is in the log, whatever becomes of the webhook."""
    memory = tick.memory
    if tick.is_behind:
        log.info(str(tick))
        return memory
    held = {c: p for c, p in read_pauses(looker.ledger).items() if p.in_force}
    left = dict(_emptied_news(tick, looker, held))
    stopped = {c: p for c, p in held.items() if p.is_stopped}
    new: list[Alert] = [
        *quarantine_alerts([(s, why) for s, why in tick.quarantine if why]),
        *left.values(),
        *(stopped_alert(c, p.why, p.since) for c, p in stopped.items() if memory.stopped.get(c) != p.since),
    ]
    for alert in new:
        log.error(f"{alert.subject}: {alert.text}")
    emptied = (*memory.emptied, *(e.attempt_id for e in left))[-REMEMBERED_EMPTIED:]
    stops = {c: p.since for c, p in stopped.items()}
    return replace(memory, emptied=emptied, stopped=stops, unsent=(*memory.unsent, *new))


def _emptied_news(tick: Tick, looker: Looker, held: Container[str]) -> Iterator[tuple[Emptied, Alert]]:
    """What is retried by itself is nobody's work yet, unless nothing starts on its cluster.

    Args:
        held: clusters that are paused or stopped.
    """
    for left in looker.ledger.left_emptied():
        of = Of(left.cluster, left.customer, left.dataset)
        states = [s for d in left.window.days if (s := tick.days.get((of, d)))]
        is_tried = any(s.last.ended in TRIED_AGAIN and not given_up(s, looker.policy) for s in states)
        is_news = of in looker.keys.values() and left.attempt_id not in tick.memory.emptied
        if is_news and (not is_tried or of.cluster in held):
            yield left, emptied_alert(of, left.window, left.attempt_id, is_held_up=is_tried)


def sent(webhook: str | None, memory: Memory, log: Logger) -> Memory:
    """Without what the webhook took. What it did not take, or not in time, is sent again at the next look."""
    end = time.monotonic() + SENDING_SECONDS
    for n, alert in enumerate(memory.unsent):
        if webhook and (time.monotonic() > end or not _is_taken(webhook, alert, log)):
            return replace(memory, unsent=memory.unsent[n:][-UNSENT:])
    return replace(memory, unsent=())


def _is_taken(webhook: str, alert: Alert, log: Logger) -> bool:
    try:
        post(webhook, alert)
    except PipelineError as error:
        log.error(str(error))
        return False
    return True


def request_of(retry: Retry) -> dg.RunRequest:
    of = retry.of
    return dg.RunRequest(
        run_key=retry.run_key,
        asset_selection=[dg.AssetKey([of.dataset, of.cluster, of.customer])],
        tags={
            **retry.kept,
            **range_tags(retry.window),
            tags.RETRY: str(retry.number),
            tags.RETRY_OF: retry.failed_run,
            tags.JOB_DAYS: str(retry.job_days),
        },
    )


def show_quarantine(tick: Tick, looker: Looker, log: Logger) -> Tick:
    """On the assets of days that are given up, or no longer are; the tick with those alone that are to be told now.

    What there is no time for is shown, and told, at the next look. A day is marked after it is shown, so a tick that dies
    shows it again. What Dagster does not take of a day that is given up is told all the same; `hidden` finds it later.
    """
    look, end = tick.memory.looks, time.monotonic() + SHOWING_SECONDS
    heard = [(s, why) for s, why in tick.quarantine if s.shows(bool(why))]  # shown by a tick that died
    wrong = [(s, why) for s, why in tick.quarantine if not s.shows(bool(why))]
    show(looker.instance, looker.assets, tick.hidden, log)
    for first in range(0, len(wrong), MARKED_AT_ONCE):
        some = wrong[first : first + MARKED_AT_ONCE]
        taken = {(s.last.of, s.day) for s in show(looker.instance, looker.assets, some, log)}
        done = [(s, why) for s, why in some if why or (s.last.of, s.day) in taken]
        mark_shown(looker.ledger, (s.as_shown(bool(why), look) for s, why in done))
        heard += done
        if time.monotonic() > end:
            break
    return replace(tick, quarantine=tuple(heard))
