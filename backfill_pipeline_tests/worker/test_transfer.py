"""The transfer on a real PostgreSQL and real ClickHouse engines."""

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline_tests.worker import loads, people, targets


def test_no_row_is_lost_or_doubled_between_slices_and_days(source: PostgresAddress, target: ClickHouse) -> None:
    people.fill(source, count=1000, days=3)
    watch = loads.Watching()
    last = loads.transfer(source, target, days=3, slice_rows=150, watch=watch).run()
    assert targets.counts(target) == {"conversation": 1000, "scorecard": 1000, "score": 3000}
    assert (last.done, last.total) == (1000, 1000)
    assert len(watch.cursors) > 12


def test_rows_on_two_shards_lie_where_the_distributed_table_would_put_them(
    source: PostgresAddress, two_shards: ClickHouse
) -> None:
    people.fill(source, count=400, days=4)
    loads.transfer(source, two_shards, days=4, slice_rows=100).run()
    assert targets.counts(two_shards) == {"conversation": 400, "scorecard": 400, "score": 1200}
