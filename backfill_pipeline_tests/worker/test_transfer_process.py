"""Process scorecards from PostgreSQL to ClickHouse: found by their own time, in the same tables as the others."""

from datetime import timedelta
from typing import Any

import pytest

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.worker.transfer.engine import Stopped, Transfer
from backfill_pipeline.worker.transfer.slices import Pace
from backfill_pipeline_tests.worker import loads, people, targets

OF_PROCESS = "SELECT count() FROM {} FINAL WHERE conversation_id = ''"


def process(source: PostgresAddress, target: ClickHouse, **options: Any) -> Transfer:
    return loads.transfer(source, target, dataset="process_scorecards", **options)


def counts(target: ClickHouse) -> dict[str, int]:
    return {t: sum(int(s.scalar(OF_PROCESS.format(t))) for s in target.shards) for t in ("scorecard", "score")}


def test_no_scorecard_is_lost_or_doubled_between_slices_and_days(source: PostgresAddress, target: ClickHouse) -> None:
    people.fill_process(source, count=1000, days=3)
    watch = loads.Watching()
    last = process(source, target, days=3, pace=Pace(7, 400), watch=watch).run()
    assert counts(target) == {"scorecard": 1000, "score": 3000}
    assert (last.done, last.total) == (1000, 1000)
    assert targets.counts(target)["conversation"] == 0


def test_a_scorecards_day_and_shard_are_those_of_its_own_time(source: PostgresAddress, two_shards: ClickHouse) -> None:
    people.fill_process(source, count=400, days=4)
    process(source, two_shards, days=4).run()
    day = "SELECT DISTINCT toRelativeDayNum(conversation_start_time, 'UTC') % 2 FROM {}"
    for table in ("scorecard", "score"):
        assert [shard.query(day.format(table)) for shard in two_shards.shards] == [[(0,)], [(1,)]]
    own = "SELECT countIf(conversation_start_time != scorecard_time) FROM scorecard"
    assert [shard.scalar(own) for shard in two_shards.shards] == [0, 0]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE director.scorecards SET scorecard_type = 1",
        "UPDATE director.scorecards SET conversation_id = 'c1'",
        "UPDATE director.scorecards SET scorecard_time = NULL",
        "UPDATE director.scorecards SET scorecard_time = 'infinity'",
        "UPDATE director.scorecards SET template_revision = 9",
        "UPDATE director.scorecard_template_revisions SET type = 1",
    ],
)
def test_appeals_and_scorecards_of_another_kind_are_not_loaded(
    source: PostgresAddress, target: ClickHouse, change: str
) -> None:
    people.fill_process(source, count=10)
    with Postgres(source).connection() as connection:
        connection.execute(change.encode())
    process(source, target).run()
    assert counts(target) == {"scorecard": 0, "score": 0}


def test_neither_dataset_loads_a_row_of_the_other(source: PostgresAddress, target: ClickHouse) -> None:
    people.fill(source, count=20)
    people.fill_process(source, count=10)
    process(source, target).run()
    assert targets.counts(target) == {"conversation": 0, "scorecard": 10, "score": 30}
    loads.transfer(source, target).run()
    assert targets.counts(target) == {"conversation": 20, "scorecard": 30, "score": 90}


@pytest.mark.parametrize("stop_after", [2, 5])
def test_t2_nothing_is_lost_when_a_stopped_transfer_goes_on_from_its_last_cursor(
    source: PostgresAddress, target: ClickHouse, stop_after: int
) -> None:
    people.fill_process(source, count=300, days=2)
    watch = loads.Watching(stop_after=stop_after)
    with pytest.raises(Stopped):
        process(source, target, days=2, pace=Pace(20, 20), watch=watch).run()
    again = loads.VERSION + timedelta(microseconds=1)
    last = process(source, target, days=2, pace=Pace(50, 50), version=again).run(watch.cursors[-1])
    assert counts(target) == {"scorecard": 300, "score": 900}
    assert last.done == 300


def test_p9_a_score_changed_while_the_transfer_runs_arrives_in_its_last_form(
    source: PostgresAddress, target: ClickHouse
) -> None:
    people.fill_process(source, count=50, scores=1)

    class Meddling(loads.Watching):
        def reached(self, cursor: Any) -> None:
            super().reached(cursor)
            if len(self.cursors) == 3:
                with Postgres(source).connection() as connection:
                    connection.execute(
                        "UPDATE director.historic_scorecard_scores SET numeric_value = 42, updated_at = now()"
                        " WHERE scorecard_id = 'audit-acmedefault-0'"
                    )

    process(source, target, pace=Pace(5, 5), slices_in_flight=1, watch=Meddling()).run()
    value = "SELECT numeric_value FROM score FINAL WHERE scorecard_id = 'audit-acmedefault-0'"
    assert targets.rows(target, value) == [(42.0,)]
