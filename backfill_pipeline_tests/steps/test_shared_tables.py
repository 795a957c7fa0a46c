"""Two datasets in the same tables, days, customer and templates: the rebuild of one leaves the other's rows alone."""

from pathlib import Path
from typing import Any

import pytest

from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline_tests.faults.windows import CLUSTER, CUSTOMER, THREE_DAYS, Small, small_window
from backfill_pipeline_tests.live import Live

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
