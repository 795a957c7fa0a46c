"""Leases by day on a real PostgreSQL: who may touch which day, and how a lost one is noticed."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.plans import Claim
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline_tests.stores.claims import claim, draw, new_customer
from backfill_pipeline_tests.stores.conftest import LEASE_SECONDS


def refusal(ledger: Ledger, wanted: Claim) -> Refused:
    with pytest.raises(Refused) as caught:
        ledger.take(wanted)
    return caught.value


@pytest.mark.parametrize(("first", "end"), [(5, 15), (9, 10), (1, 2), (1, 31)])
def test_d16_overlapping_windows_are_refused_and_told_who_holds_which_day(ledger: Ledger, first: int, end: int) -> None:
    customer = new_customer()
    holder = claim(customer, 1, 10)
    ledger.take(holder)
    error = refusal(ledger, claim(customer, first, end))
    assert holder.run_id in error.why
    assert holder.attempt_id in error.why
    assert f"2026-01-{max(first, 1):02d}" in error.where
    assert "2026-01-10" not in error.where


def test_d16_a_refused_window_leaves_no_day_of_it_taken(ledger: Ledger) -> None:
    customer = new_customer()
    ledger.take(claim(customer, 5, 6))
    refusal(ledger, claim(customer, 1, 10))
    ledger.take(claim(customer, 1, 5))
    ledger.take(claim(customer, 6, 10))


def test_windows_that_only_touch_do_not_stop_each_other(ledger: Ledger) -> None:
    customer = new_customer()
    ledger.take(claim(customer, 1, 5))
    ledger.take(claim(customer, 5, 10))
    ledger.take(claim(customer, 1, 10, dataset="labels"))
    ledger.take(claim(f"{customer}-east", 1, 10))


def test_d16_of_twenty_that_take_the_same_days_at_once_one_wins(ledger: Ledger) -> None:
    customer, start = new_customer(), threading.Barrier(20)

    def take(number: int) -> bool:
        wanted = claim(customer, 1 + number % 3, 6)
        start.wait()
        try:
            ledger.take(wanted)
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(take, range(20))) == 1


def test_a_holder_that_takes_its_own_days_again_is_not_refused_and_its_older_fence_is_void(ledger: Ledger) -> None:
    mine = claim(new_customer())
    before = draw(ledger, mine)
    after = draw(ledger, mine)
    assert after.fence > before.fence
    assert not ledger.renew(before)
    assert ledger.renew(after)


def test_days_of_a_holder_that_died_are_free_after_its_term_under_a_higher_fence(hasty: Ledger) -> None:
    customer = new_customer()
    dead = draw(hasty, claim(customer))
    refusal(hasty, claim(customer))
    time.sleep(LEASE_SECONDS + 0.2)
    heir = draw(hasty, claim(customer))
    assert heir.fence > dead.fence
    with pytest.raises(PipelineError, match="lease of these days was lost") as caught:
        hasty.check_held(dead)
    assert caught.value.kind is Kind.RETRY


def test_a_lease_taken_over_on_one_day_is_lost_as_a_whole(hasty: Ledger) -> None:
    customer = new_customer()
    dead = draw(hasty, claim(customer, 1, 10))
    time.sleep(LEASE_SECONDS + 0.2)
    hasty.take(claim(customer, 9, 12))
    assert not hasty.renew(dead)


def test_a_late_release_of_a_lost_lease_does_not_free_the_heirs_days(hasty: Ledger, ledger: Ledger) -> None:
    customer = new_customer()
    dead = draw(hasty, claim(customer))
    time.sleep(LEASE_SECONDS + 0.2)
    ledger.take(claim(customer))
    hasty.release(dead.attempt_id, dead.fence)
    refusal(ledger, claim(customer))


def test_a_step_longer_than_the_term_keeps_its_lease_and_gives_it_up_at_the_end(hasty: Ledger) -> None:
    customer = new_customer()
    mine = draw(hasty, claim(customer))
    with hasty.kept(mine):
        time.sleep(LEASE_SECONDS * 2.5)
        refusal(hasty, claim(customer))
    time.sleep(LEASE_SECONDS + 0.2)
    hasty.take(claim(customer))


def test_a_lease_lost_in_mid_step_is_not_taken_back_by_its_keeper(hasty: Ledger) -> None:
    customer = new_customer()
    mine = draw(hasty, claim(customer))
    with hasty.kept(mine):
        hasty.release(mine.attempt_id, mine.fence)
        heir = draw(hasty, claim(customer))
        time.sleep(LEASE_SECONDS / 2)
        assert not hasty.renew(mine)
        assert hasty.renew(heir)
    with pytest.raises(PipelineError, match="lost"), hasty.kept(mine):
        pytest.fail("a step began without its lease")
