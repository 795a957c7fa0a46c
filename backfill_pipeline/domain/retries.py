"""Which failed days are done again, when and in Jobs of how many days; and which are left to a person. Pure.

How a run ended is folded into one state per day, newest end last: a run that another one overtook changes nothing, so the
same ends may be read twice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from backfill_pipeline.domain.causes import Cause, Remedy
from backfill_pipeline.domain.cuts import smaller
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.windows import Window, windows_of

LONGEST_DELAY = timedelta(hours=1)
LONGEST_WAIT = timedelta(hours=24)  # how long a system may take to recover before a person must look
ONCE_MORE = 1  # tries of what nobody knows
JITTER = 0.5  # of the delay, at most: customers that failed together must not come back together


class Ended(StrEnum):
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ASKED = "asked for again"  # by a person, who gave the day back to the retries


TRIED_AGAIN = (Ended.FAILED, Ended.ASKED)


@dataclass(frozen=True, order=True)
class Of:
    """Whose days."""

    cluster: str
    customer: str
    dataset: str


@dataclass(frozen=True)
class Outcome:
    """How one run ended for some days.

    made_at: when the run was launched, which may be long before it began.
    retry_of: the failed run, or the request, that the retry sensor launched it for; None, somebody else launched it.
    retry: how many automatic retries led to the run.
    job_days: days of its largest Job.
    whole_window: whether it failed at what takes all of its days at once (counts, delete, proof), however small its Jobs.
    kept: tags that its retry takes over: who asked for it, and what a person approved.
    """

    of: Of
    days: tuple[date, ...]
    run_id: str
    ended: Ended
    ended_at: datetime
    made_at: datetime | None = None
    retry_of: str | None = None
    retry: int = 0
    job_days: int = 1
    cause: str = Cause.UNKNOWN
    remedy: Remedy = Remedy.ONCE
    evidence: str = ""
    whole_window: bool = False
    kept: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DayState:
    """The newest end of a day that failed once; first_failed_at: since when it was not done.

    waiting_since: when the waits began that nothing but a pause has interrupted; None, it does not wait, or an older
    version wrote it down.
    unknown: its ends, since it began to fail, of which nobody knows the cause.
    shown: whether its asset was shown as quarantined, by the sensor's look of that number and for the end of that run.
    """

    day: date
    first_failed_at: datetime
    last: Outcome
    waiting_since: datetime | None = None
    unknown: int = 0
    shown: bool = False
    shown_by: int = 0
    shown_run: str = ""

    @property
    def waited(self) -> timedelta:
        """For a system that must recover."""
        return self.last.ended_at - (self.waiting_since or self.first_failed_at)

    def shows(self, is_given_up: bool) -> bool:
        """Whether its asset says so: what was shown of one end is not known after the next, whose run has checks too."""
        return self.shown is is_given_up and (not is_given_up or self.shown_run == self.last.run_id)

    def as_shown(self, is_given_up: bool, look: int) -> "DayState":
        return replace(self, shown=is_given_up, shown_by=look, shown_run=self.last.run_id)

    def is_newer_than(self, proved_at: datetime) -> bool:
        """Whether it went wrong after it was proved right, which the retry sensor may not know yet."""
        return self.last.ended is not Ended.DONE and self.last.ended_at >= proved_at


@dataclass(frozen=True)
class Policy:
    """attempts: automatic retries of a day. delay: before the first; doubles with each."""

    attempts: int
    delay: timedelta


@dataclass(frozen=True)
class Retry:
    """One run to launch: exactly these failed days, in Jobs of at most job_days."""

    of: Of
    window: Window
    failed_run: str
    number: int
    job_days: int
    kept: Mapping[str, str]

    @property
    def run_key(self) -> str:
        """It holds the attempt: a deterministic one is remembered for ever and drops the next retry (trap S1)."""
        of = self.of
        return f"{of.dataset}/{of.cluster}/{of.customer}:{self.window}:{self.failed_run}:{self.number}"


Days = Mapping[tuple[Of, date], DayState]
NEVER: Mapping[str, datetime] = {}


def fold(
    known: Days, outcomes: Iterable[Outcome], resumed: Mapping[str, datetime] = NEVER
) -> dict[tuple[Of, date], DayState]:
    """The states that change; a day that never failed has none.

    Args:
        resumed: clusters, each with the end of its last pause.
    """
    changed: dict[tuple[Of, date], DayState] = {}
    for outcome in _in_order(outcomes):
        for day in outcome.days:
            state = changed.get((outcome.of, day)) or known.get((outcome.of, day))
            new = _after(state, outcome, day, resumed.get(outcome.of.cluster))
            if new:
                changed[outcome.of, day] = new
    return changed


def _in_order(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """A retry comes after what it was launched for, whatever its machine's clock says."""
    given = list(outcomes)
    ended = {o.run_id: o.ended_at for o in given}
    return sorted(given, key=lambda o: (max(o.ended_at, ended.get(o.retry_of or "", o.ended_at)), o.retry_of in ended))


def _after(state: DayState | None, outcome: Outcome, day: date, resumed: datetime | None) -> DayState | None:
    if state is None:
        return None if outcome.ended is Ended.DONE else _begun(DayState(day, outcome.ended_at, outcome))
    if outcome.ended is Ended.ASKED or outcome.retry_of == state.last.run_id:
        outcome = replace(outcome, ended_at=max(outcome.ended_at, state.last.ended_at + timedelta.resolution))
    if outcome.ended_at <= state.last.ended_at or _is_older_than_the_request(state.last, outcome):
        return None
    if outcome.ended is Ended.FAILED and is_withdrawn(state, outcome.retry_of):
        outcome = replace(outcome, ended=Ended.CANCELLED)
    if state.last.ended is Ended.DONE or outcome.retry_of is None:
        return _begun(replace(state, first_failed_at=outcome.ended_at, last=outcome))
    since = _waiting_since(state, outcome, resumed) if _waits(outcome) else None
    return replace(state, last=outcome, waiting_since=since, unknown=state.unknown + _is_unknown(outcome))


def _begun(state: DayState) -> DayState:
    since = state.last.ended_at if _waits(state.last) else None
    return replace(state, waiting_since=since, unknown=int(_is_unknown(state.last)))


def _waiting_since(state: DayState, outcome: Outcome, resumed: datetime | None) -> datetime:
    """A pause is no wait: nobody asked whether the system is back."""
    if not _waits(state.last):
        return outcome.ended_at
    since = state.waiting_since or state.first_failed_at
    return min(max(since, resumed or since), outcome.ended_at)


def _waits(last: Outcome) -> bool:
    return last.ended is Ended.FAILED and last.remedy is Remedy.WAIT


def _is_unknown(last: Outcome) -> bool:
    return last.ended is Ended.FAILED and last.remedy is Remedy.ONCE


def is_withdrawn(state: DayState, retry_of: str | None) -> bool:
    """Whether a person cancelled the retry while it was launched: it is not wanted, nor tried again however it failed."""
    return state.last.ended is Ended.CANCELLED and state.last.run_id == retry_of


def refuse_withdrawn(known: Mapping[date, DayState], days: Sequence[date], retry_of: str | None) -> None:
    """Where a day still waits for it the retry goes on: that one may be empty. One asked for again waits for another run.

    Raises:
        Refused: a person cancelled it while it was launched, and no day waits for it any more.
    """
    its = [s for d in days if (s := known.get(d)) and s.last.run_id == retry_of]
    states = [s for s in its if is_withdrawn(s, retry_of)]
    if states and not any(s.last.ended in TRIED_AGAIN for s in its):
        raise Refused(
            "The retry was cancelled while it was launched; nothing was touched",
            where=f"retry of run {retry_of}",
            why=states[0].last.evidence,
            next_step=f"if it is wanted after all: {lift_command(states)}",
        )


def but_withdrawn(outcomes: Iterable[Outcome], known: Days) -> list[Outcome]:
    """Without failures of retries that a person had cancelled: they say nothing of their cluster.

    Args:
        known: the states after these ends, so that an end that is read twice is left out twice.
    """
    return [o for o in outcomes if o.ended is not Ended.FAILED or not _is_taken_as_cancelled(o, known)]


def _is_taken_as_cancelled(outcome: Outcome, known: Days) -> bool:
    """By `fold`, which keeps what the run said of itself; a cancel after the failure does not."""
    ends = [s.last for d in outcome.days if (s := known.get((outcome.of, d)))]
    its = [e for e in ends if (e.run_id, e.evidence) == (outcome.run_id, outcome.evidence)]
    return bool(its) and all(e.ended is Ended.CANCELLED for e in its)


def _is_older_than_the_request(last: Outcome, outcome: Outcome) -> bool:
    """A run that was at work when somebody asked for the day again is not what was asked for."""
    if last.ended is not Ended.ASKED or outcome.retry_of == last.run_id or outcome.made_at is None:
        return False
    is_late_retry = outcome.retry_of is not None and outcome.ended is Ended.FAILED  # made later, chosen before
    return is_late_retry or outcome.made_at <= last.ended_at


def given_up(state: DayState, policy: Policy) -> str | None:
    """Why a person must look at the day; None while it is retried, or done, or was cancelled."""
    last = state.last
    if last.ended is not Ended.FAILED:
        return None
    if last.remedy is Remedy.BY_HAND:
        return f"{last.cause} does not pass by itself"
    if last.remedy is Remedy.WAIT:
        hours = state.waited.total_seconds() / 3600
        return f"{last.cause} for {hours:.0f} hours" if state.waited > LONGEST_WAIT else None
    is_tried_enough = last.remedy is Remedy.ONCE and state.unknown > ONCE_MORE
    return f"{last.cause} after {last.retry} retries" if is_tried_enough or last.retry >= policy.attempts else None


def asked_again(
    of: Of, days: Sequence[date], request: str, at: datetime, *, job_days: int, by: str, kept: Mapping[str, str]
) -> Outcome:
    """What a person asks for, as an end that is newer than all others: the attempts are counted anew.

    Args:
        request: unlike any other, as it goes into the run's key.
        kept: tags of the runs that come of it.
    """
    return Outcome(of, tuple(days), request, Ended.ASKED, at, job_days=job_days, cause=f"asked for by {by}", kept=kept)


def lift_command(states: Sequence[DayState]) -> str:
    """What a person types once the cause is mended, for days of one customer and dataset."""
    of = states[0].last.of
    cancelled = " --cancelled" if any(s.last.ended is Ended.CANCELLED for s in states) else ""
    days = " ".join(map(str, windows_of(s.day for s in states)))
    return f"backfill retry --cluster {of.cluster} --dataset {of.dataset} {of.customer} {days}{cancelled}"


def redo_command(of: Of, days: Iterable[date]) -> str:
    """What a person types for days that must be done again, whatever became of them."""
    windows = " ".join(map(str, windows_of(days)))
    return f"backfill reset --cluster {of.cluster} --dataset {of.dataset} {of.customer} {windows}"


def due_at(state: DayState, policy: Policy) -> datetime:
    """When the day may be tried again. What waits for a system asks again after as long as it has waited."""
    last = state.last
    if last.ended is Ended.ASKED:
        return last.ended_at
    if last.remedy is Remedy.WAIT:
        delay = max(policy.delay, state.waited)
    else:
        delay = policy.delay * 2 ** min(last.retry, 16)
    delay = min(delay, LONGEST_DELAY)
    return last.ended_at + delay * (1 + JITTER * _share(last))


def _share(outcome: Outcome) -> float:
    """Between 0 and 1, the same at every look."""
    digest = sha256(f"{outcome.run_id}\n{outcome.of}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def next_job_days(last: Outcome) -> int:
    """The same size first, then smaller; at once where the diagnosis says that the size is what failed."""
    return smaller(last.job_days) if _is_too_much(last) else last.job_days


def _is_too_much(last: Outcome) -> bool:
    if last.ended is Ended.ASKED or last.remedy is Remedy.WAIT:
        return False
    return last.remedy is Remedy.SMALLER or last.retry > 0


def due(
    states: Iterable[DayState], policy: Policy, now: datetime, *, busy: Iterable[Of], most: int
) -> tuple[Retry, ...]:
    """What to launch now: a window per customer at most, so that its windows go one after the other.

    Args:
        busy: whose runs wait or work now.
        most: launches at once; clusters take turns, and within one whoever has waited longest is first.
    """
    taken = {(of.cluster, of.customer) for of in busy}
    chosen: dict[str, list[Retry]] = {}
    for window in sorted(_windows(states, policy, now), key=lambda w: (w[0], w[1].of, w[1].window)):
        retry = window[1]
        if (retry.of.cluster, retry.of.customer) not in taken:
            taken.add((retry.of.cluster, retry.of.customer))
            chosen.setdefault(retry.of.cluster, []).append(retry)
    return tuple(_in_turns(list(chosen.values())))[:most]


def _in_turns(queues: Sequence[Sequence[Retry]]) -> Iterator[Retry]:
    for turn in range(max(map(len, queues), default=0)):
        yield from (queue[turn] for queue in queues if turn < len(queue))


def _windows(states: Iterable[DayState], policy: Policy, now: datetime) -> Iterator[tuple[datetime, Retry]]:
    """Days that one run left behind together are tried together."""
    alike: dict[tuple[Of, str], list[DayState]] = {}
    for state in states:
        if state.last.ended in TRIED_AGAIN and not given_up(state, policy) and due_at(state, policy) <= now:
            alike.setdefault((state.last.of, state.last.run_id), []).append(state)
    for (of, run_id), group in alike.items():
        last = group[0].last
        number = last.retry + (last.ended is Ended.FAILED and last.remedy is not Remedy.WAIT)
        for window in windows_of(s.day for s in group):
            for part in _parts(window, last):
                yield due_at(group[0], policy), Retry(of, part, run_id, number, next_job_days(last), last.kept)


def _parts(window: Window, last: Outcome) -> tuple[Window, ...]:
    """Runs of their own where smaller Jobs would change nothing: counts, delete and proof are one statement per run."""
    return tuple(window.split(next_job_days(last))) if last.whole_window and _is_too_much(last) else (window,)
