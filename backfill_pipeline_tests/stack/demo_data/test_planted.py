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

SOURCE_TABLES = (
    "app.chats",
    "app.chat_messages",
    "app.agent_assist_events",
    "director.scorecards",
    "director.historic_scorecard_scores",
)
TARGET_TABLES = ("conversation", "scorecard", "score", "conversation_with_labels")
KINDS = {"missing", "gone", "stale", "doubled", "appeal"}
LABEL_KINDS = {"missing", "gone", "stale", "reassigned", "closed_later", "over_midnight", "moved"}


def content(config: Config) -> list[object]:
    """Every row of both sides of both clusters, in order."""
    rows: list[object] = []
    for cluster in config.clusters:
        with psycopg.connect(stacks.dsn(cluster)) as connection:
            for table in SOURCE_TABLES:
                rows += connection.execute(f"SELECT t::text FROM {table} t ORDER BY 1").fetchall()
        for shard in range(len(stacks.addresses(cluster))):
            client = stacks.shard_client(cluster, shard)
            for table in TARGET_TABLES:
                rows += client.query(f"SELECT * FROM {table} FINAL ORDER BY ALL").result_rows
    return rows


def test_a_failure_can_not_be_repeated_as_the_same_seed_gives_other_rows_in_another_zone(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L3"""
    before = content(demo.config)
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        planted = demo.refill(tmp_path)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert planted == demo.planted
    assert content(demo.config) == before
    assert (tmp_path / FILE_NAME).read_bytes() == (demo.folder / FILE_NAME).read_bytes()


def test_what_was_planted_is_lost_between_the_file_and_its_readers(demo: Demo) -> None:
    assert Planted.read(demo.folder) == demo.planted
    assert json.loads((demo.folder / FILE_NAME).read_text())["defects"]


def test_a_kind_of_defect_goes_untested_as_a_customer_has_none_of_it(demo: Demo) -> None:
    for cluster in demo.config.clusters:
        for customer in cluster.customers:
            assert kinds(demo.planted, cluster.name, customer.id, "conversations") == KINDS
            on_shards = {"doubled"} if cluster.name == "south" else set()
            assert kinds(demo.planted, cluster.name, customer.id, "labels") == LABEL_KINDS | on_shards


def kinds(planted: Planted, cluster: str, customer: str, dataset: str) -> set[str]:
    return {d.kind for d in planted.of(cluster, customer) if d.dataset == dataset}


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


@pytest.mark.parametrize(("table", "moment"), [("conversation", "start"), ("conversation_with_labels", "end")])
def test_a_small_demo_refuses_its_own_backfill_as_its_source_looks_broken(demo: Demo, table: str, moment: str) -> None:
    """D10: a profile's day whose source has far fewer rows than its target is refused."""
    for cluster in demo.config.clusters:
        source, target = source_days(cluster, moment), target_days(cluster, table, moment)
        assert source.keys() == target.keys()
        assert min(source[day] / target[day] for day in source) >= demo.config.limits.min_source_ratio


def source_days(cluster: Cluster, moment: str) -> Counter[str]:
    """Conversations per customer, profile and day of their start or end in PostgreSQL."""
    with psycopg.connect(stacks.dsn(cluster)) as connection:
        rows = connection.execute(
            f"""SELECT concat_ws(' ', customer_id, profile_id, ({moment}ed_at AT TIME ZONE 'UTC')::date), count(*)
            FROM app.chats WHERE conversation_id <> '' AND NOT is_dev_user AND isfinite(started_at)
              AND isfinite({moment}ed_at) GROUP BY 1""".encode()
        )
        return Counter({str(day): int(count) for day, count in rows})


def target_days(cluster: Cluster, table: str, moment: str) -> Counter[str]:
    """Rows per customer, profile and day of their start or end over all shards of ClickHouse."""
    days = Counter[str]()
    for shard in range(len(stacks.addresses(cluster))):
        rows = stacks.shard_client(cluster, shard).query(
            f"""SELECT concat(customer_id, ' ', profile_id, ' ', toString(toDate(conversation_{moment}_time, 'UTC'))), count()
            FROM {table} FINAL GROUP BY 1"""
        )
        days.update({str(day): int(count) for day, count in rows.result_rows})
    return days


def test_a_count_without_final_looks_right_as_no_row_has_an_older_version(demo: Demo) -> None:
    """L7: older versions were written beneath right rows. Counted as written, as a merge may have removed them by now."""
    for table in TARGET_TABLES:
        shards = [(c, s) for c in demo.config.clusters for s in range(len(stacks.addresses(c)))]
        rows = [stacks.shard_client(*shard).query(f"SELECT count() FROM {table} FINAL").result_rows for shard in shards]
        assert demo.planted.target_rows[table] > sum(row[0] for [row] in rows)


def test_a_row_version_lies_beyond_its_change_by_so_much_that_it_is_from_the_future(demo: Demo) -> None:
    client = stacks.shard_client(demo.config.cluster("north"), 0)
    for table in TARGET_TABLES:
        assert client.command(f"SELECT max(update_time) < '2026-02-06' FROM {table}") == 1


def test_the_span_of_one_day_breaks_as_there_is_no_other_day_for_doubles(demo: Demo, tmp_path: Path) -> None:
    config = Config(clusters=[demo.config.cluster("south")])
    planted = generate(config, size=0.01, first_day=date(2026, 3, 1), days=1, folder=tmp_path)
    demo.refill(tmp_path)
    assert kinds(planted, "south", "initech", "conversations") == KINDS
    assert {"moved", "over_midnight"}.isdisjoint(kinds(planted, "south", "initech", "labels"))
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
