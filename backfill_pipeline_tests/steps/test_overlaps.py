"""Two attempts on the same days, and workflows that are not ours: one goes on, the other says who is there."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client

from backfill_pipeline.domain.causes import Remedy
from backfill_pipeline.domain.contracts import ReindexInput
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.failures import diagnose_error
from backfill_pipeline.domain.plans import Claim
from backfill_pipeline.domain.windows import Window, rfc3339
from backfill_pipeline.steps import inspect
from backfill_pipeline.steps.records import Recorded
from backfill_pipeline_tests.faults.windows import CLUSTER, CUSTOMER, THREE_DAYS, Small

FIRST_TWO = Window(date(2026, 1, 1), date(2026, 1, 3))


@pytest.mark.parametrize("other", [THREE_DAYS, FIRST_TWO], ids=["same-window", "overlapping"])
def test_d16_of_two_attempts_at_once_one_goes_on_and_the_other_says_who_holds_the_lease(
    small: Small, tmp_path: Path, other: Window
) -> None:
    small.damaged()
    claims = [small.claim(), small.live.claim(CLUSTER, CUSTOMER, other)]
    together = threading.Barrier(2)

    def run(claim: Claim) -> Recorded | Refused:
        together.wait()
        try:
            return small.run(claim, tmp_path / claim.run_id)
        except Refused as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(run, claims))
    [won] = [n for n, end in enumerate(ends) if isinstance(end, Recorded)]
    refusal, recorded = ends[1 - won], ends[won]
    assert isinstance(refusal, Refused)
    assert diagnose_error(refusal).remedy is Remedy.WAIT, "its days are done again when the other one is over"
    assert f"run {claims[won].run_id} " in refusal.why
    assert isinstance(recorded, Recorded)
    assert {d.verdict for d in recorded.verification.days} == {"MATCH"}
    small.assert_right(small.run(small.claim(), tmp_path / "after"))


@contextmanager
def open_workflow(small: Small, customer: str, at: Window, attempt_id: str | None = None) -> Iterator[str]:
    """A workflow of somebody else or of an attempt, open because nobody takes from its queue."""
    address = small.live.config.cluster(CLUSTER).temporal
    assert address
    workflow_id = f"reindexconversations-{customer}-default-{uuid4()}"
    given = ReindexInput(customer, "default", rfc3339(at.start_time), rfc3339(at.end_time), attempt_id=attempt_id)

    async def start() -> None:
        client = await Client.connect(address.address, namespace=address.namespace)
        await client.start_workflow("ReindexConversations", given, id=workflow_id, task_queue="nobody")

    async def end() -> None:
        client = await Client.connect(address.address, namespace=address.namespace)
        await client.get_workflow_handle(workflow_id).terminate()

    asyncio.run(start())
    try:
        yield workflow_id
    finally:
        asyncio.run(end())


def inspected(small: Small, claim: Claim | None = None) -> None:
    claim = claim or small.claim()
    with small.live.systems(CLUSTER) as systems:
        seen = inspect.inspect(systems, claim, launched_by="test")
        systems.ledger.mark_ended(seen.attempt)
        systems.ledger.release(claim.attempt_id, seen.attempt.fence)


def test_d16_an_open_workflow_that_is_not_ours_blocks_the_delete_until_it_has_closed(small: Small) -> None:
    with open_workflow(small, CUSTOMER, FIRST_TWO) as foreign:
        with pytest.raises(Refused, match="not ours") as caught:
            inspected(small)
        assert foreign in caught.value.why
        assert diagnose_error(caught.value).remedy is Remedy.WAIT
    inspected(small)


def test_d16_a_step_repeated_by_its_own_attempt_is_not_blocked_by_the_workflow_that_it_started(small: Small) -> None:
    mine = small.claim()
    with open_workflow(small, CUSTOMER, FIRST_TWO, mine.attempt_id):
        inspected(small, mine)


def test_k4_a_workflow_of_a_customer_whose_id_begins_alike_or_of_other_days_blocks_nothing(small: Small) -> None:
    later = Window(date(2026, 1, 4), date(2026, 1, 9))
    with open_workflow(small, "acme-east", THREE_DAYS), open_workflow(small, CUSTOMER, later):
        inspected(small)
