"""The life of a window on real parts, step by step, judged row by row."""

import psycopg
import pytest

from backfill_pipeline.domain.plans import Claim
from backfill_pipeline.steps import delete, follow, inspect, launch, record
from backfill_pipeline.steps.records import Recorded
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline_tests.live import Live


def run_window(systems: Systems, claim: Claim) -> Recorded:
    inspection = inspect.inspect(systems, claim, launched_by="test")
    deletion = delete.delete(systems, inspection)
    launched = launch.launch(systems, inspection)
    followed = follow.follow(systems, inspection, launched)
    return record.record(systems, inspection, deletion, launched, followed)


def test_two_chats_of_one_conversation_do_not_make_a_day_that_can_never_become_right(engines: Live) -> None:
    engines.make_data()
    with psycopg.connect(engines.source_dsn("north")) as source:
        source.execute(_SECOND_CHAT)
    with engines.systems("north") as systems:
        recorded = run_window(systems, engines.claim("north", "acme"))
    assert [d.verdict for d in recorded.verification.days] == ["MATCH"] * 10
    assert not recorded.doubled


_SECOND_CHAT = """
INSERT INTO app.chats (customer_id, profile_id, chat_id, conversation_id, started_at, updated_at)
SELECT customer_id, profile_id, 'second-' || chat_id, conversation_id, started_at + interval '1 second', updated_at
FROM app.chats WHERE customer_id = 'acme' AND conversation_id <> '' AND NOT is_dev_user
  AND (started_at AT TIME ZONE 'UTC')::time < '23:00' ORDER BY chat_id LIMIT 5
"""


@pytest.mark.parametrize(("cluster", "customer"), [("north", "globex"), ("south", "umbrella")])
def test_stale_days_become_equal_to_the_source_row_by_row(engines: Live, cluster: str, customer: str) -> None:
    engines.make_data()
    assert engines.differences(cluster, customer)
    with engines.systems(cluster) as systems:
        recorded = run_window(systems, engines.claim(cluster, customer))
    assert [d.verdict for d in recorded.verification.days] == ["MATCH"] * 10
    assert not recorded.doubled
    after = engines.differences(cluster, customer)
    assert not after, str(after)
    assert after.expected > 0
