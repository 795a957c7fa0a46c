"""Two datasets in the same tables, days, customer and templates: the rebuild of one leaves the other's rows alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from backfill_pipeline.config import required
from backfill_pipeline.steps import verify
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline_tests.faults.windows import CLUSTER, CUSTOMER, THREE_DAYS, Small, small_window
from backfill_pipeline_tests.live import Live
from backfill_pipeline_tests.worker import people

DATASETS = {"conversations": "conversation_id != ''", "process_scorecards": "conversation_id = ''"}


@pytest.fixture
def small(engines: Live) -> Small:
    return small_window(engines)


def physical(clickhouse: ClickHouse, only: str) -> list[Any]:
    """Every row of the customer, in every version."""
    sql = f"SELECT count(), sum(cityHash64(*)) FROM {{}} WHERE customer_id = '{CUSTOMER}' AND {only}"
    return [s.query(sql.format(t)) for s in clickhouse.shards for t in ("scorecard", "score")]


def same_template(small: Small) -> None:
    """Ordinary scorecards get the process scorecards' template too: nothing but the conversation tells them apart."""
    with small.live.systems(CLUSTER) as systems, systems.postgres.connection() as connection:
        connection.execute(
            "UPDATE director.scorecards SET template_id = 'tpl-coaching', template_revision = 1 WHERE customer_id = %s",
            [CUSTOMER],
        )


def test_the_seeds_template_of_740_scorecards_is_uncovered_until_its_dataset_is_configured(
    small: Small, tmp_path: Path
) -> None:
    source = required(small.live.config.cluster(CLUSTER).postgres, CLUSTER, "postgres")
    people.fill_process(source, template="public-response-audit", count=740, day=datetime(2026, 1, 2, tzinfo=UTC))
    with small.live.systems(CLUSTER) as systems:
        alone = replace(systems, datasets=("conversations",))
        found = verify.find_coverage(alone, CUSTOMER, ["default"], THREE_DAYS)
        (missing,) = (g for g in found.unhandled(date(2026, 1, 2)) if g.template_id == "public-response-audit")
        assert (missing.template_type, missing.scorecards) == (2, 740)
        recorded = small.run(
            small.live.claim(CLUSTER, CUSTOMER, THREE_DAYS, dataset="process_scorecards"), tmp_path / "one"
        )
        assert [d.verdict for d in recorded.verification.days] == ["MATCH"] * 3
        assert recorded.verification.coverage.unhandled(date(2026, 1, 2)) == ()
        rows = recorded.verification.days[1].target
        assert rows is not None
        assert rows["scorecard"].rows >= 740


@pytest.mark.parametrize(("rebuilt", "other"), [tuple(DATASETS), tuple(reversed(DATASETS))])
def test_rows_of_the_other_dataset_are_neither_deleted_nor_written_again(
    small: Small, tmp_path: Path, rebuilt: str, other: str
) -> None:
    same_template(small)
    with small.live.systems(CLUSTER) as systems:
        before = physical(systems.clickhouse, DATASETS[other])
        recorded = small.run(small.live.claim(CLUSTER, CUSTOMER, THREE_DAYS, dataset=rebuilt), tmp_path / "one")
        assert [d.verdict for d in recorded.verification.days] == ["MATCH"] * 3
        assert physical(systems.clickhouse, DATASETS[other]) == before
    again = small.run(small.live.claim(CLUSTER, CUSTOMER, THREE_DAYS, dataset=other), tmp_path / "other")
    assert [d.verdict for d in again.verification.days] == ["MATCH"] * 3
    found = small.live.differences(CLUSTER, CUSTOMER, THREE_DAYS, process=True)
    assert not found, str(found)


@contextmanager
def no_merges(clickhouse: ClickHouse) -> Iterator[None]:
    """Older versions stay where they are; mutations go on, which SYSTEM STOP MERGES would hold too."""
    places = [(shard.client(), table) for shard in clickhouse.shards for table in ("scorecard", "score")]
    for client, table in places:
        client.command(f"ALTER TABLE {table} MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1")
    try:
        yield
    finally:
        for client, table in places:
            client.command(f"ALTER TABLE {table} RESET SETTING max_bytes_to_merge_at_max_space_in_pool")


def run_process(small: Small, folder: Path) -> None:
    recorded = small.run(small.live.claim(CLUSTER, CUSTOMER, THREE_DAYS, dataset="process_scorecards"), folder)
    assert [d.verdict for d in recorded.verification.days] == ["MATCH"] * 3


def test_d7_a_scorecard_that_lost_its_conversation_and_then_went_leaves_no_older_row_of_the_other_dataset(
    small: Small, tmp_path: Path
) -> None:
    """Found by an attacker: rows of both datasets lie under one sort key, and a delete of the newer uncovered the older."""
    with small.live.systems(CLUSTER) as systems, no_merges(systems.clickhouse):
        for dataset in DATASETS:
            small.run(small.live.claim(CLUSTER, CUSTOMER, THREE_DAYS, dataset=dataset), tmp_path / dataset)
        with systems.postgres.connection() as connection:
            found = connection.execute(
                "UPDATE director.scorecards AS s SET conversation_id = '', template_id = 'tpl-coaching', "
                "template_revision = 1, scorecard_time = c.started_at, updated_at = now() FROM app.chats AS c "
                "WHERE s.scorecard_id = (SELECT min(scorecard_id) FROM director.scorecards JOIN app.chats "
                "USING (customer_id, profile_id, conversation_id) WHERE customer_id = %s AND started_at >= %s "
                "AND started_at < %s AND scorecard_type IS NULL AND NOT is_dev_user) AND c.customer_id = s.customer_id "
                "AND c.profile_id = s.profile_id AND c.conversation_id = s.conversation_id RETURNING s.scorecard_id",
                [CUSTOMER, THREE_DAYS.start_time, THREE_DAYS.end_time],
            ).fetchone()
            assert found
        run_process(small, tmp_path / "became")
        with systems.postgres.connection() as connection:
            connection.execute("DELETE FROM director.historic_scorecard_scores WHERE scorecard_id = %s", found)
            connection.execute("DELETE FROM director.scorecards WHERE scorecard_id = %s", found)
        run_process(small, tmp_path / "went")
        left = [
            s.query(f"SELECT count() FROM {t} WHERE scorecard_id = {{id:String}}", {"id": found[0]})
            for s in systems.clickhouse.shards
            for t in ("scorecard", "score")
        ]
    assert all(rows == [(0,)] for rows in left), left
    wrong = small.live.differences(CLUSTER, CUSTOMER, THREE_DAYS, process=True)
    assert not wrong, str(wrong)
