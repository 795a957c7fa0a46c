"""Which failed days are done again, when, in which Jobs; and which are left to a person."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill_pipeline.domain.causes import Cause, Remedy
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.retries import (
    LONGEST_DELAY,
    LONGEST_WAIT,
    Days,
    DayState,
    Ended,
    Of,
    Outcome,
    Policy,
    asked_again,
    due,
    due_at,
    fold,
    given_up,
    lift_command,
    next_job_days,
    refuse_withdrawn,
)
from backfill_pipeline.domain.windows import Window

ACME = Of("north", "acme", "conversations")
START = datetime(2026, 1, 20, tzinfo=UTC)
POLICY = Policy(attempts=3, delay=timedelta(minutes=1))
FIRST = date(2026, 1, 1)
UNKNOWN = {"cause": Cause.UNKNOWN, "remedy": Remedy.ONCE}
AWAY = {"cause": Cause.UNREACHABLE, "remedy": Remedy.WAIT}


def days(*numbers: int) -> tuple[date, ...]:
    return tuple(date(2026, 1, n) for n in numbers)


def ended(how: Ended = Ended.FAILED, at: int = 0, **changes: Any) -> Outcome:
    """at: minutes after the start."""
    given = Outcome(
        ACME,
        days(1, 2, 3),
        f"run-{at}",
        how,
        START + timedelta(minutes=at),
        job_days=3,
        cause=Cause.DEADLOCK,
        remedy=Remedy.AGAIN,
        evidence="deadlock detected",
    )
    return replace(given, **changes)


def after(*outcomes: Outcome) -> Days:
    """The states after these ends, each told alone."""
    known: Days = {}
    for outcome in outcomes:
        known = {**known, **fold(known, [outcome])}
    return known


def state(**changes: Any) -> DayState:
    return after(ended(**changes))[ACME, FIRST]


def launched(known: Days, *, minutes: float = 10_000, busy: tuple[Of, ...] = (), most: int = 20) -> list[Any]:
    return list(due(known.values(), POLICY, START + timedelta(minutes=minutes), busy=busy, most=most))


# How ends are folded.


def test_a_day_that_never_failed_costs_nothing() -> None:
    assert after(ended(Ended.DONE)) == {}


def test_s3_only_the_days_that_are_not_done_are_done_again() -> None:
    known = after(ended(), ended(Ended.DONE, 1, days=days(2)))
    assert [str(r.window) for r in launched(known)] == ["2026-01-01"]
    assert {d.day for d in known.values() if d.last.ended is Ended.FAILED} == {*days(1, 3)}


def test_a_run_that_was_overtaken_changes_nothing() -> None:
    """Another run, refused while the first one worked, ended before it; and ends are read again, a minute back."""
    assert launched(after(ended(at=1), ended(Ended.DONE, 5), ended(at=1))) == []
    assert launched(fold({}, [ended(Ended.DONE, 5), ended(at=1)])) == []


@given(st.permutations([ended(at=1), ended(Ended.DONE, 2, days=days(1)), ended(at=3, days=days(2)), ended(at=1)]))
def test_the_order_in_which_ends_are_read_in_one_look_does_not_matter(ends: list[Outcome]) -> None:
    assert fold({}, ends) == fold({}, sorted(ends, key=lambda o: o.ended_at))


def test_since_when_a_day_fails_is_not_forgotten_by_its_retries_but_by_a_person() -> None:
    known = after(ended(), ended(at=5, retry=1, retry_of="run-0"), ended(at=9, retry=2, retry_of="run-5"))
    assert known[ACME, FIRST].first_failed_at == START
    launched_by_hand = after(ended(), ended(at=5, retry=1, retry_of="run-0"), ended(at=9))
    assert launched_by_hand[ACME, FIRST].first_failed_at == START + timedelta(minutes=9)


def test_a_request_is_not_forgotten_for_the_end_of_a_run_that_was_at_work_when_it_was_made() -> None:
    """Somebody cancels a run and resets its days at once: the run ends after that."""
    asked = asked_again(ACME, days(1, 2, 3), "asked-1", START, job_days=3, by="me", kept={})
    made = {"made_at": START - timedelta(minutes=5)}
    for older in (ended(Ended.CANCELLED, 1, **made), ended(Ended.DONE, 1, **made), ended(at=1, retry=5, **made)):
        (again,) = launched(after(ended(), replace(asked, ended_at=START + timedelta(seconds=1)), older))
        assert again.failed_run == "asked-1"
    its_own = ended(Ended.DONE, 2, retry_of="asked-1", **made)
    assert launched(after(asked, its_own)) == []


def test_the_command_that_lifts_a_quarantine_names_all_of_its_days() -> None:
    known = after(ended(days=days(1, 2, 3, 7)), ended(Ended.CANCELLED, 1, days=days(9)))
    states = list(known.values())
    command = "backfill retry --cluster north --dataset conversations acme"
    assert lift_command(states[:4]) == f"{command} 2026-01-01..2026-01-03 2026-01-07"
    assert lift_command(states[4:]) == f"{command} 2026-01-09 --cancelled", "else no such day has failed"


# When and how often.


def test_a_database_that_is_down_is_not_hammered_the_delay_doubles_up_to_an_hour() -> None:
    delays = [due_at(state(retry=n), POLICY) - START for n in (0, 1, 2, 3, 30)]
    for n, delay in enumerate(delays[:4]):
        assert timedelta(minutes=2**n) <= delay <= timedelta(minutes=1.5 * 2**n)
    assert LONGEST_DELAY <= delays[4] <= 1.5 * LONGEST_DELAY


def test_customers_that_failed_together_do_not_come_back_together() -> None:
    moments = {due_at(state(run_id=f"run-{n}"), POLICY) for n in range(100)}
    assert len(moments) > 90
    assert due_at(state(), POLICY) == due_at(state(), POLICY)


def test_a_day_that_never_succeeds_is_given_up_after_the_last_attempt() -> None:
    assert [bool(given_up(state(retry=n), POLICY)) for n in range(5)] == [False, False, False, True, True]
    assert given_up(state(retry=3), POLICY) == "deadlock after 3 retries"


def test_what_nobody_knows_is_tried_once_more_and_not_for_ever() -> None:
    assert not given_up(state(**UNKNOWN), POLICY)
    again = after(ended(**UNKNOWN), ended(at=1, retry=1, retry_of="run-0", **UNKNOWN))[ACME, FIRST]
    assert given_up(again, POLICY) == "unknown after 1 retries"
    assert given_up(state(**UNKNOWN), replace(POLICY, attempts=0))


def test_what_nobody_knows_is_not_given_up_at_once_because_another_failure_came_before_it() -> None:
    first = ended(), ended(at=1, retry=1, retry_of="run-0", **UNKNOWN)
    (again,) = launched(after(*first))
    assert again.number == 2
    last = after(*first, ended(at=2, retry=2, retry_of="run-1", **UNKNOWN))[ACME, FIRST]
    assert given_up(last, POLICY) == "unknown after 2 retries"
    assert given_up(after(*first)[ACME, FIRST], replace(POLICY, attempts=1)), "attempts bound it still"


def test_what_nobody_knew_before_a_person_launched_the_day_is_not_counted() -> None:
    known = after(ended(**UNKNOWN), ended(at=1, retry=1, retry_of="run-0", **UNKNOWN), ended(at=2, **UNKNOWN))
    assert len(launched(known)) == 1


def test_p8_what_a_person_must_mend_is_not_tried_again() -> None:
    drift = {"cause": Cause.SCHEMA_DRIFT, "remedy": Remedy.BY_HAND}
    assert given_up(state(**drift), POLICY) == "schema drift does not pass by itself"
    assert launched(after(ended(**drift))) == []


def test_a_system_that_recovers_after_hours_finds_its_days_still_waiting() -> None:
    """Waiting is no attempt: ten of them in ten minutes would give every customer up while a server restarts."""
    known = after(ended(**AWAY), *(ended(at=30 * n, retry_of="run", **AWAY) for n in range(1, 5)))
    (again,) = launched(known)
    assert again.number == 0
    long_ago = replace(known[ACME, FIRST], waiting_since=START - LONGEST_WAIT)
    assert given_up(long_ago, POLICY) == "unreachable for 26 hours"


def test_a_system_that_stays_away_is_asked_ever_more_seldom_and_left_to_a_person_after_a_day() -> None:
    known, minutes = after(ended(**AWAY)), [0]
    while found := launched(known, minutes=minutes[-1] + 90):
        (again,) = found
        minutes.append(int((due_at(known[ACME, FIRST], POLICY) - START) / timedelta(minutes=1)) + 1)
        end = ended(at=minutes[-1], retry=again.number, retry_of=again.failed_run, **AWAY)
        known = {**known, **fold(known, [end])}
    gaps = [b - a for a, b in pairwise(minutes)]
    assert 20 < len(gaps) < 40
    assert gaps[:4] == sorted(gaps[:4])
    assert max(gaps) >= 60
    assert given_up(known[ACME, FIRST], POLICY) == "unreachable for 25 hours"


def test_what_waits_asks_again_after_as_long_as_it_has_waited() -> None:
    waiting, unknown = state(remedy=Remedy.WAIT), {"waiting_since": None}  # as an older version left it
    for minutes in (1, 7, 50):
        for since in ("waiting_since", "first_failed_at"):
            later = replace(waiting, **{**unknown, since: START - timedelta(minutes=minutes)})
            delay = due_at(later, POLICY) - START
            assert timedelta(minutes=minutes) <= delay <= timedelta(minutes=1.5 * minutes)


def test_a_restart_is_not_given_up_because_the_day_had_failed_for_a_day_of_other_causes() -> None:
    late = {"cause": Cause.HEARTBEAT_TIMEOUT, "remedy": Remedy.SMALLER}
    known = after(ended(**late), ended(at=25 * 60, retry=1, retry_of="run-0", **AWAY))
    again = known[ACME, FIRST]
    assert (given_up(again, POLICY), again.waiting_since) == (None, again.last.ended_at)
    assert due_at(again, POLICY) - again.last.ended_at <= 1.5 * POLICY.delay
    other = fold(known, [ended(at=26 * 60, retry=1, retry_of="run-1500", **late)])
    assert other[ACME, FIRST].waiting_since is None


def test_a_weekend_that_a_cluster_was_stopped_is_no_wait_of_its_days() -> None:
    """Its first try after that meets a lease or a server that restarts."""
    known, monday = after(ended(**AWAY)), timedelta(hours=60)
    held = ended(at=60 * 60 + 5, retry_of="run-0", cause=Cause.HELD, remedy=Remedy.WAIT)
    assert given_up(fold(known, [held])[ACME, FIRST], POLICY) == "held by another run for 60 hours"
    resumed = fold(known, [held], {"north": START + monday, "south": START})[ACME, FIRST]
    assert (given_up(resumed, POLICY), resumed.waited) == (None, timedelta(minutes=5))
    longer = fold(known, [held], {"north": START - monday})[ACME, FIRST]
    assert given_up(longer, POLICY), "a pause before it began to wait makes it no longer either"


def test_a_retry_whose_machines_clock_is_behind_is_not_dropped_for_ever() -> None:
    """Its run key would be due again and again, and Dagster takes it once."""
    earlier = {"ended_at": START - timedelta(minutes=1), "retry_of": "run-0", "retry": 1}
    for known in (after(ended(), ended(at=1, **earlier)), fold({}, [ended(), ended(at=1, **earlier)])):
        (again,) = launched(known)
        assert (again.failed_run, again.number) == ("run-1", 2)
        assert known[ACME, FIRST].last.ended_at > START, "or the ledger would not keep it"
        assert fold(known, [ended(at=1, **earlier), ended()]) == {}, "read again"
    for done in (after(ended(), ended(Ended.DONE, 1, **earlier)), fold({}, [ended(Ended.DONE, 1, **earlier), ended()])):
        assert launched(done) == []


def test_a_request_is_not_dropped_because_the_clock_of_who_asks_is_behind() -> None:
    early = START - timedelta(minutes=5)
    asked = asked_again(ACME, days(1, 2, 3), "asked-1", early, job_days=3, by="me", kept={})
    known = after(ended(remedy=Remedy.BY_HAND), asked)
    (again,) = launched(known)
    assert again.failed_run == "asked-1"
    its_own = ended(Ended.DONE, ended_at=early, retry_of="asked-1", made_at=early)
    assert launched({**known, **fold(known, [its_own])}) == []


def test_a_run_cancelled_by_hand_is_not_started_again_behind_its_operators_back() -> None:
    known = after(ended(), ended(Ended.CANCELLED, 1))
    assert launched(known) == []
    assert not any(given_up(s, POLICY) for s in known.values())


# In which Jobs.


def test_a_cancelled_retry_does_all_its_days_because_one_of_them_was_asked_for_again() -> None:
    """Its own failure does not take that one's request away, either."""
    withdrawn = ended(Ended.CANCELLED, at=1, run_id="run-0", retry_of="run-0")
    at = START + timedelta(minutes=2)
    request = asked_again(ACME, days(2), "asked-1", at, job_days=3, by="alice", kept={})
    known = after(ended(), withdrawn, request)
    with pytest.raises(Refused, match="nothing was touched"):
        refuse_withdrawn({d: s for (_, d), s in known.items()}, days(1, 2, 3), "run-0")
    late = ended(at=4, retry_of="run-0", retry=1, made_at=START + timedelta(minutes=3), remedy=Remedy.BY_HAND)
    known = {**known, **fold(known, [late])}
    ends = [known[ACME, d].last.ended for d in days(1, 2, 3)]
    assert ends == [Ended.CANCELLED, Ended.ASKED, Ended.CANCELLED]


def test_the_same_size_first_then_smaller() -> None:
    again = ended(job_days=31)
    assert [next_job_days(replace(again, retry=n)) for n in (0, 1)] == [31, 10]
    assert next_job_days(replace(again, retry=2, job_days=10)) == 5


def test_a_size_that_is_what_failed_is_not_tried_again() -> None:
    assert next_job_days(ended(job_days=31, remedy=Remedy.SMALLER)) == 10
    assert next_job_days(ended(job_days=1, remedy=Remedy.SMALLER)) == 1


def test_a_system_that_was_away_says_nothing_about_the_size() -> None:
    assert next_job_days(ended(job_days=31, remedy=Remedy.WAIT, retry=2)) == 31


@pytest.mark.parametrize("remedy", [Remedy.SMALLER, Remedy.AGAIN])
def test_p3_what_takes_the_whole_window_at_once_is_not_repeated_unchanged_with_smaller_jobs(remedy: Remedy) -> None:
    """A count or delete that is too much is one statement for all days, however small the Jobs are."""
    month = tuple(Window(FIRST, date(2026, 2, 1)).days)
    retry = 0 if remedy is Remedy.SMALLER else 1
    failed = ended(days=month, job_days=31, remedy=remedy, retry=retry, whole_window=True)
    known, tried = after(failed), []
    while found := launched(known):
        (part,) = found
        assert (part.job_days, part.number) == (10, retry + 1)
        tried.append(str(part.window))
        known = {**known, **fold(known, [ended(Ended.DONE, len(tried), days=part.window.days, retry_of="run-0")])}
    assert tried == ["2026-01-01..2026-01-10", "2026-01-11..2026-01-20", "2026-01-21..2026-01-30", "2026-01-31"]
    (whole,) = launched(after(replace(failed, whole_window=False)))
    assert (whole.window, whole.job_days) == (Window(FIRST, date(2026, 2, 1)), 10)


def test_p3_a_part_of_a_window_that_is_too_much_still_is_cut_again() -> None:
    whole = {"remedy": Remedy.SMALLER, "whole_window": True}
    known = after(ended(days=tuple(Window(FIRST, date(2026, 1, 11)).days), job_days=10, retry=1, **whole))
    assert [str(r.window) for r in launched(known)] == ["2026-01-01..2026-01-05"]
    day = after(ended(days=days(1), job_days=1, **whole))
    assert [str(r.window) for r in launched(day)] == ["2026-01-01"]


@pytest.mark.parametrize("remedy", [Remedy.WAIT, Remedy.AGAIN])
def test_a_window_is_not_cut_for_what_says_nothing_about_its_size(remedy: Remedy) -> None:
    known = after(ended(job_days=1, remedy=remedy, whole_window=True))
    assert [str(r.window) for r in launched(known)] == ["2026-01-01..2026-01-03"]


# Which and how many.


def test_s1_a_retry_is_not_dropped_because_an_earlier_ones_run_key_is_remembered() -> None:
    ends = [
        ended(at=n, retry=r, remedy=m)
        for n, (r, m) in enumerate([(0, Remedy.WAIT), (0, Remedy.AGAIN), (1, Remedy.AGAIN)])
    ]
    keys = [launched(after(*ends[: n + 1]))[0].run_key for n in range(3)]
    assert len(set(keys)) == 3
    assert [launched(after(*ends))[0].run_key for _ in range(2)] == [keys[2]] * 2


def test_failed_days_with_a_hole_are_runs_of_their_own_one_after_the_other() -> None:
    known = after(ended(days=days(1, 2, 5)))
    (first,) = launched(known)
    assert first.window == Window(date(2026, 1, 1), date(2026, 1, 3))
    assert launched(known, busy=(replace(ACME, dataset="labels"),)) == []
    (second,) = launched({**known, **fold(known, [ended(Ended.DONE, 1, days=days(1, 2))])})
    assert second.window == Window(date(2026, 1, 5), date(2026, 1, 6))


def test_days_of_different_runs_are_not_thrown_together() -> None:
    """One of them may be at its third retry, the next one at its first."""
    known = after(ended(days=days(1, 2)), ended(at=1, days=days(3), retry=2))
    assert {r.window for r in launched(known)} == {Window(*days(1, 3))}


def test_s2_a_cluster_with_many_failures_does_not_starve_another() -> None:
    many = [ended(of=Of("north", f"c{n}", "conversations"), at=n) for n in range(50)]
    one = ended(of=Of("south", "last", "conversations"), at=99)
    found = launched(after(*many, one), most=4)
    assert [r.of.customer for r in found] == ["c0", "last", "c1", "c2"]


def test_s2_no_more_is_launched_at_once_than_the_cap() -> None:
    many = [ended(of=Of("north", f"c{n}", "conversations"), at=n) for n in range(50)]
    assert len(launched(after(*many), most=7)) == 7


def test_nothing_is_launched_before_its_time() -> None:
    assert launched(after(ended()), minutes=0.9) == []
    assert len(launched(after(ended()), minutes=1.6)) == 1


@pytest.mark.parametrize("retry", [0, 1, 2])
def test_what_a_person_approved_and_who_asked_goes_with_the_retry(retry: int) -> None:
    kept = {"launched_by": "someone", "approved/rows": "true"}
    (again,) = launched(after(ended(retry=retry, kept=kept)))
    assert (again.kept, again.number, again.failed_run) == (kept, retry + 1, "run-0")
