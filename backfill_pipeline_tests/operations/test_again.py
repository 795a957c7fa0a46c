"""What is asked for again, and what a launch takes for done."""

from datetime import UTC, date, datetime, timedelta

from backfill_pipeline.defs import tags
from backfill_pipeline.defs.ended_runs import AGAIN_OF
from backfill_pipeline.defs.ops import launched_by
from backfill_pipeline.defs.retry import request_of
from backfill_pipeline.domain.causes import Cause, Remedy
from backfill_pipeline.domain.guards import Approval, approvals
from backfill_pipeline.domain.retries import Ended, due
from backfill_pipeline.operations.again import NotTaken, ask_again, failed_days, not_taken
from backfill_pipeline.operations.launch import How
from backfill_pipeline.operations.survey import survey
from backfill_pipeline.stores.failed_days import failed_days_of
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline_tests.live import Live
from backfill_pipeline_tests.operations.past import Past, config_of, look, window

MONTH = window(1, 31)
HOW = How("somebody", why="mended", approved=frozenset({Approval.SHRUNKEN_SOURCE}))


class Quiet:
    """A Dagster in which nothing waits or works."""

    def unfinished_runs(self) -> tuple[()]:
        return ()

    def unfinished_backfills(self) -> tuple[()]:
        return ()


def to_launch(past: Past) -> list[date]:
    found = survey(Quiet(), past.ledger, {past.of: MONTH.days})  # type: ignore[arg-type]
    return sorted(found.free(again=False).get(past.of, ()))


def test_a_month_that_is_asked_for_is_one_run_that_no_guard_lets_through(engines: Live, ledger: Ledger) -> None:
    """Nine runs of ten days were given up; asked for as one run they would be refused for their length."""
    past = Past(ledger)
    past.failed(MONTH, cause=Cause.MISSING, remedy=Remedy.BY_HAND, job_days=5)
    config = config_of(engines.config, (past.cluster, past.customer))
    days_of_a_run = config.cluster(past.cluster).customer(past.customer).window_days
    requests = ask_again(ledger, config, {past.of: MONTH.days}, HOW)
    asked = failed_days_of(ledger, past.of, MONTH)
    assert {s.last.run_id for s in asked.values()} == set(requests)
    assert len(requests) == len(MONTH.split(days_of_a_run)) > 1
    assert all(sum(s.last.run_id == r for s in asked.values()) <= days_of_a_run for r in requests)
    assert {s.last.job_days for s in asked.values()} == {5}, "no larger than what was tried last"


def test_who_asked_for_days_again_and_what_they_approved_stands_on_the_runs(engines: Live, ledger: Ledger) -> None:
    """An auditor found `retry_failed_days` for whoever typed `backfill reset`."""
    past = Past(ledger)
    past.failed(window(5, 5), cause=Cause.REFUSED, remedy=Remedy.BY_HAND)
    ask_again(ledger, config_of(engines.config, (past.cluster, past.customer)), {past.of: window(5, 5).days}, HOW)
    states = failed_days_of(ledger, past.of, MONTH).values()
    (retry,) = due(states, engines.config.limits.retry_policy, datetime.now(UTC), busy=(), most=9)
    given = request_of(retry).tags
    assert (launched_by(given), given[tags.WHY]) == ("somebody", "mended")
    assert approvals(given) == {Approval.SHRUNKEN_SOURCE}
    assert "unknown" in launched_by(given | {AGAIN_OF: "that run"}), "somebody else executes it again, with its tags"


def test_a_launch_takes_deleted_days_for_done_because_of_an_old_verdict(ledger: Ledger) -> None:
    past = Past(ledger)
    past.recorded(MONTH)
    assert to_launch(past) == []
    past.emptied(window(5, 7))
    assert to_launch(past) == list(window(5, 7).days)


def test_a_launch_takes_days_for_done_that_failed_since(ledger: Ledger) -> None:
    past, soon = Past(ledger), datetime.now(UTC) + timedelta(minutes=1)
    past.recorded(MONTH)
    past.failed(window(1, 2), at=soon)
    past.failed(window(9, 9), at=soon, ended=Ended.CANCELLED)
    past.failed(window(20, 20), at=soon - timedelta(days=1))
    past.failed(window(21, 21), at=soon, ended=Ended.DONE)
    assert to_launch(past) == list(window(1, 2).days), "a cancel that deleted nothing has undone nothing"


def test_days_that_nobody_will_do_again_are_shown_without_a_way_to_do_them(engines: Live, ledger: Ledger) -> None:
    past = Past(ledger)
    past.emptied(window(5, 7))
    [emptied] = look(config_of(engines.config, (past.cluster, past.customer))).attention
    assert emptied.command == (
        f"backfill reset --cluster north --dataset conversations {past.customer} 2026-01-05..2026-01-07"
    )


def test_days_that_are_asked_for_or_cancelled_are_told_as_days_that_never_failed(engines: Live, ledger: Ledger) -> None:
    past = Past(ledger)
    past.failed(window(1, 2))
    past.emptied(window(9, 10))
    past.failed(window(8, 10), ended=Ended.CANCELLED)
    past.failed(window(20, 23))
    ask_again(ledger, config_of(engines.config, (past.cluster, past.customer)), {past.of: window(20, 23).days}, HOW)
    assert failed_days(ledger, [past.of]) == {past.of: list(window(1, 2).days)}
    assert not_taken(ledger, [past.of]) == NotTaken(asked=4, cancelled=3, empty=2)
    assert not_taken(ledger, [past.of], window(10, 20).days) == NotTaken(asked=1, cancelled=1, empty=1)
