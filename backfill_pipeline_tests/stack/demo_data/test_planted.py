"""planted.json tells the truth about what was planted, the same seed plants the same, and the demo stays runnable."""

import json
import time
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import psycopg
import pytest

from backfill_pipeline.config import Cluster, Config
from backfill_pipeline.stack.demo_data import FILE_NAME, Planted, generate
from backfill_pipeline.stack.demo_data.generate import volume
from backfill_pipeline.stack.demo_data.planted import Place
from backfill_pipeline.stack.demo_data.source_day import source_day
from backfill_pipeline_tests.stack.demo_data import stacks
from backfill_pipeline_tests.stack.demo_data.conftest import Demo

SOURCE_TABLES = ("app.chats", "app.chat_messages", "director.scorecards", "director.historic_scorecard_scores")
KINDS = {"missing", "gone", "stale", "doubled", "appeal"}


def content(config: Config) -> list[object]:
    """Every row of both sides of both clusters, in order."""
    rows: list[object] = []
    for cluster in config.clusters:
        with psycopg.connect(stacks.dsn(cluster)) as connection:
            for table in SOURCE_TABLES:
                rows += connection.execute(f"SELECT t::text FROM {table} t ORDER BY 1").fetchall()
        for shard in range(len(stacks.addresses(cluster))):
            client = stacks.shard_client(cluster, shard)
            for table in ("conversation", "scorecard", "score"):
                rows += client.query(f"SELECT * FROM {table} FINAL ORDER BY ALL").result_rows
    return rows


def refill(demo: Demo, folder: Path) -> Planted:
    p = demo.planted
    return generate(demo.config, size=p.size, first_day=p.first_day, days=p.days, folder=folder, odd_rows=True)


def test_a_failure_can_not_be_repeated_as_the_same_seed_gives_other_rows(demo: Demo, tmp_path: Path) -> None:
    before = content(demo.config)
    assert refill(demo, tmp_path) == demo.planted
    assert content(demo.config) == before
    assert (tmp_path / FILE_NAME).read_bytes() == (demo.folder / FILE_NAME).read_bytes()


def test_the_rows_follow_the_zone_of_the_machine(demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """L3"""
    before = content(demo.config)
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        refill(demo, tmp_path)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert content(demo.config) == before


def test_what_was_planted_is_lost_between_the_file_and_its_readers(demo: Demo) -> None:
    assert Planted.read(demo.folder) == demo.planted
    assert json.loads((demo.folder / FILE_NAME).read_text())["defects"]


def test_a_kind_of_defect_goes_untested_as_a_customer_has_none_of_it(demo: Demo) -> None:
    for cluster in demo.config.clusters:
        for customer in cluster.customers:
            assert {d.kind for d in demo.planted.of(cluster.name, customer.id)} == KINDS


def test_doubles_on_another_shard_or_in_another_month_go_untested_as_there_are_none(demo: Demo) -> None:
    doubles = [d for d in demo.planted.defects if d.kind == "doubled"]
    assert {d.cluster for d in doubles if d.other_day is None} == {"south"}
    assert any(d.other_day and d.other_day.month != d.day.month for d in doubles)
    assert all(d.day != d.other_day for d in doubles)


def test_a_day_that_is_called_clean_has_a_defect_or_a_double_of_another_day(demo: Demo) -> None:
    clean = {(c.cluster, c.customer, c.day) for c in demo.planted.clean}
    hit = {(d.cluster, d.customer, day) for d in demo.planted.defects for day in (d.day, d.other_day)}
    assert not clean & hit
    assert {(c, u) for c, u, _ in clean} == {(c.name, u.id) for c in demo.config.clusters for u in c.customers}


def test_a_small_demo_refuses_its_own_backfill_as_its_source_looks_broken(demo: Demo) -> None:
    """D10: a day whose source has far fewer ids than its target is refused."""
    for cluster in demo.config.clusters:
        source, target = source_days(cluster), target_days(cluster)
        assert source.keys() == target.keys()
        assert min(source[day] / target[day] for day in source) >= demo.config.limits.min_source_ratio


def source_days(cluster: Cluster) -> Counter[str]:
    """Conversations per customer and day in PostgreSQL."""
    with psycopg.connect(stacks.dsn(cluster)) as connection:
        rows = connection.execute(
            """SELECT customer_id || (started_at AT TIME ZONE 'UTC')::date, count(*) FROM app.chats
            WHERE conversation_id <> '' AND NOT is_dev_user AND isfinite(started_at) GROUP BY 1"""
        )
        return Counter({str(day): int(count) for day, count in rows})


def target_days(cluster: Cluster) -> Counter[str]:
    """Conversations per customer and day over all shards of ClickHouse."""
    days = Counter[str]()
    for shard in range(len(stacks.addresses(cluster))):
        rows = stacks.shard_client(cluster, shard).query(
            """SELECT concat(customer_id, toString(toDate(conversation_start_time))), count()
            FROM conversation FINAL GROUP BY 1"""
        )
        days.update({str(day): int(count) for day, count in rows.result_rows})
    return days


def test_a_count_without_final_looks_right_as_no_row_has_an_older_version(demo: Demo) -> None:
    """L7: older versions were written beneath right rows. Counted as written, as a merge may have removed them by now."""
    for table in ("conversation", "scorecard", "score"):
        shards = [(c, s) for c in demo.config.clusters for s in range(len(stacks.addresses(c)))]
        rows = [stacks.shard_client(*shard).query(f"SELECT count() FROM {table} FINAL").result_rows for shard in shards]
        assert demo.planted.target_rows[table] > sum(row[0] for [row] in rows)


def test_a_row_version_lies_beyond_its_change_by_so_much_that_it_is_from_the_future(demo: Demo) -> None:
    client = stacks.shard_client(demo.config.cluster("north"), 0)
    assert client.command("SELECT max(update_time) < '2026-02-06' FROM score") == 1


def test_the_span_of_one_day_breaks_as_there_is_no_other_day_for_doubles(demo: Demo, tmp_path: Path) -> None:
    config = Config(clusters=[demo.config.cluster("south")])
    planted = generate(config, size=0.01, first_day=date(2026, 3, 1), days=1, folder=tmp_path)
    refill(demo, tmp_path)
    assert {d.kind for d in planted.defects} == KINDS
    assert not planted.clean
    assert all(d.other_day is None for d in planted.defects)


@pytest.mark.parametrize("size", [0.2, 1.0])
def test_the_volume_follows_neither_the_flag_nor_the_customer(size: float) -> None:
    place = Place("south", "hooli", "default", date(2026, 1, 1), 2)
    assert volume("acme", profiles=1, size=size) == 150 * size
    assert volume("globex", profiles=2, size=size) == 75 * size
    day = source_day(np.random.default_rng(1), place, volume("hooli", profiles=1, size=size))
    assert day.chats.num_rows == 3000 * size
    assert 1.1 < day.scorecards.num_rows / day.chats.num_rows < 1.5
    assert day.scores.num_rows == 6 * day.scorecards.num_rows
