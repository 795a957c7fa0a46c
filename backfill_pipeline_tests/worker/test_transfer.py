"""The transfer on a real PostgreSQL and real ClickHouse engines."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.domain.contracts import Progress
from backfill_pipeline.domain.errors import PipelineError, Refused
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.worker.transfer import read, route
from backfill_pipeline.worker.transfer.cursor import Cursor, cursor_from
from backfill_pipeline.worker.transfer.engine import Stopped
from backfill_pipeline.worker.transfer.load import Loader
from backfill_pipeline_tests.worker import loads, people, targets
from backfill_pipeline_tests.worker.people import DAY
from backfill_pipeline_tests.worker.servers import wait_until

IDS = "SELECT conversation_id FROM conversation FINAL ORDER BY 1"
DAYS_ON_SHARD = "SELECT DISTINCT toRelativeDayNum(conversation_start_time, 'UTC') % 2 FROM {table}"


def execute(source: PostgresAddress, sql: str, **values: Any) -> None:
    with Postgres(source).connection() as connection:
        connection.execute(sql, values)


def ids(target: ClickHouse) -> list[str]:
    return sorted(row[0] for row in targets.rows(target, IDS))


def test_no_row_is_lost_or_doubled_between_slices_and_days(source: PostgresAddress, target: ClickHouse) -> None:
    people.fill(source, count=1000, days=3)
    watch = loads.Watching()
    last = loads.transfer(source, target, days=3, slice_conversations=75, watch=watch).run()
    assert targets.counts(target) == {"conversation": 1000, "scorecard": 1000, "score": 3000}
    assert (last.done, last.total) == (1000, 1000)
    assert len(watch.cursors) > 12


def test_l0_rows_on_two_shards_lie_where_the_distributed_table_would_put_them(
    source: PostgresAddress, two_shards: ClickHouse
) -> None:
    people.fill(source, count=400, days=4)
    loads.transfer(source, two_shards, days=4, slice_conversations=50).run()
    assert targets.counts(two_shards) == {"conversation": 400, "scorecard": 400, "score": 1200}
    for table in targets.OF_CONVERSATIONS:
        found = [shard.query(DAYS_ON_SHARD.format(table=table)) for shard in two_shards.shards]
        assert found == [[(0,)], [(1,)]]


def test_l0_a_negative_sharding_value_goes_to_the_shard_that_the_server_takes(target: ClickHouse) -> None:
    sql = route.question("n + length(text)", {"n": "Int32", "text": "String"}, 3)
    values = {"v0": ["-3", "-1", "5"], "v1": ["", "it's", ""]}
    assert [row[0] for row in target.shards[0].query(sql, values)] == [(2**64 - 3) % 3, 3 % 3, 5 % 3]
    sql = route.question("n", {"n": "Int32"}, 3)
    assert target.shards[0].query(sql, {"v0": ["-3"]}) == [((2**32 - 3) % 3,)]


def test_another_customers_or_profiles_rows_are_not_touched(source: PostgresAddress, target: ClickHouse) -> None:
    for customer, profile in (("acme", "default"), ("acme", "emea"), ("acme-east", "default")):
        people.fill(source, customer, profile, count=10)
    loads.transfer(source, target).run()
    assert targets.rows(target, "SELECT DISTINCT customer_id, profile_id FROM score") == [("acme", "default")]


def test_appeals_dev_users_and_chats_without_a_conversation_are_not_loaded(
    source: PostgresAddress, target: ClickHouse
) -> None:
    people.fill(source, count=10)
    execute(source, "UPDATE app.chats SET is_dev_user = true WHERE chat_id = 'chat1'")
    execute(source, "UPDATE app.chats SET conversation_id = NULL WHERE chat_id = 'chat2'")
    execute(source, "UPDATE app.chats SET conversation_id = '' WHERE chat_id = 'chat3'")
    execute(source, "UPDATE director.scorecards SET scorecard_type = 2 WHERE scorecard_id = 's-acmedefault-4'")
    loads.transfer(source, target).run()
    assert targets.counts(target) == {"conversation": 7, "scorecard": 6, "score": 18}


def test_p6_rows_without_a_finite_start_belong_to_no_day_and_stop_nothing(
    source: PostgresAddress, target: ClickHouse
) -> None:
    people.fill(source, count=10)
    execute(source, "UPDATE app.chats SET started_at = NULL WHERE chat_id = 'chat1'")
    execute(source, "UPDATE app.chats SET started_at = 'infinity' WHERE chat_id = 'chat2'")
    execute(source, "UPDATE app.chats SET started_at = '-infinity' WHERE chat_id = 'chat3'")
    loads.transfer(source, target).run()
    assert targets.counts(target)["conversation"] == 7


def test_p7_the_first_instant_belongs_to_the_day_and_the_first_of_the_next_does_not(
    source: PostgresAddress, target: ClickHouse
) -> None:
    people.fill(source, count=3)
    last = DAY + timedelta(days=1) - timedelta(microseconds=1)
    for chat, moment in (("chat0", DAY), ("chat1", last), ("chat2", DAY + timedelta(days=1))):
        execute(source, "UPDATE app.chats SET started_at = %(at)s WHERE chat_id = %(chat)s", at=moment, chat=chat)
    loads.transfer(source, target).run()
    found = targets.rows(target, "SELECT toString(conversation_start_time) FROM conversation ORDER BY 1")
    assert found == [("2026-01-15 00:00:00.000",), ("2026-01-15 23:59:59.999",)]


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "1899-12-31 23:59:59+00", "2300-01-01 00:00:00+00"])
def test_p7_a_time_that_the_target_cannot_hold_becomes_null_and_not_garbage(
    source: PostgresAddress, target: ClickHouse, moment: str
) -> None:
    people.fill(source, count=1)
    execute(source, "UPDATE app.chats SET ended_at = %(at)s", at=moment)
    execute(source, "UPDATE director.scorecards SET submitted_at = %(at)s, scorecard_time = %(at)s", at=moment)
    loads.transfer(source, target).run()
    assert targets.rows(target, "SELECT conversation_end_time FROM conversation") == [(None,)]
    assert targets.rows(target, "SELECT submitted_at, scorecard_time FROM scorecard") == [(None, None)]


@pytest.mark.parametrize("moment", ["1900-01-01 00:00:00.000", "1969-12-31 23:59:59.999", "2299-12-31 23:59:59.999"])
def test_p7_the_first_and_the_last_time_that_the_target_holds_are_not_lost(
    source: PostgresAddress, target: ClickHouse, moment: str
) -> None:
    people.fill(source, count=1)
    execute(source, "UPDATE app.chats SET ended_at = %(at)s", at=f"{moment}999+00")
    execute(
        source, "UPDATE director.scorecards SET submitted_at = %(at)s, scorecard_time = %(at)s", at=f"{moment}999+00"
    )
    loads.transfer(source, target).run()
    assert targets.rows(target, "SELECT toString(conversation_end_time) FROM conversation") == [(moment,)]
    assert targets.rows(target, "SELECT toString(submitted_at), toString(scorecard_time) FROM scorecard") == [
        (moment,) * 2
    ]


@pytest.mark.parametrize(
    "text", [None, "", "🦉 café", "'; -- DROP TABLE", "a\\b\tc\nd {x} %s", "x" * 100_000], ids=lambda t: repr(t)[:12]
)
def test_texts_arrive_exactly_as_they_are(source: PostgresAddress, target: ClickHouse, text: str | None) -> None:
    people.fill(source, count=1, scores=1)
    execute(source, "UPDATE director.historic_scorecard_scores SET text_value = %(text)s", text=text)
    loads.transfer(source, target).run()
    assert targets.rows(target, "SELECT text_value FROM score") == [(text,)]


def test_ids_with_quotes_and_wildcards_between_slices_lose_nothing(source: PostgresAddress, target: ClickHouse) -> None:
    people.fill(source, count=60)
    execute(source, "UPDATE director.scorecards SET conversation_id = 'o''{brien}\\%%_' || conversation_id")
    execute(source, "UPDATE app.chats SET conversation_id = 'o''{brien}\\%%_' || conversation_id")
    loads.transfer(source, target, slice_conversations=5).run()
    assert targets.counts(target) == {"conversation": 60, "scorecard": 60, "score": 180}


def test_two_chats_of_one_conversation_do_not_double_its_row(source: PostgresAddress, target: ClickHouse) -> None:
    people.fill(source, count=10)
    execute(source, "UPDATE app.chats SET conversation_id = 'c00000001' WHERE chat_id = 'chat2'")
    loads.transfer(source, target).run()
    assert targets.counts(target) == {"conversation": 9, "scorecard": 9, "score": 27}


@dataclass
class Meddling(loads.Watching):
    """Does something once, after so many cursors."""

    after: int = 3
    meddle: Callable[[], None] = lambda: None

    def reached(self, cursor: Cursor) -> None:
        super().reached(cursor)
        if len(self.cursors) == self.after:
            self.meddle()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE app.chats SET conversation_id = 'a-new', updated_at = now() WHERE chat_id = 'chat99'", "a-new"),
        (
            "INSERT INTO app.chats (customer_id, profile_id, chat_id, conversation_id, started_at)"
            " VALUES ('acme', 'default', 'late', 'a-late', '2026-01-15 10:00:00+00')",
            "a-late",
        ),
        ("UPDATE app.chats SET started_at = '2026-01-15 01:00:00+00', updated_at = now() WHERE chat_id = 'next'", "b"),
    ],
)
def test_p5_p9_a_row_that_moves_behind_the_cursor_is_not_lost(
    source: PostgresAddress, target: ClickHouse, change: str, found: str
) -> None:
    people.fill(source, count=100)
    execute(
        source,
        "INSERT INTO app.chats (customer_id, profile_id, chat_id, conversation_id, started_at, updated_at)"
        " VALUES ('acme', 'default', 'next', 'b', '2026-01-20 10:00:00+00', '2026-01-20 10:00:00+00')",
    )
    watch = Meddling(after=3, meddle=lambda: execute(source, change))
    loads.transfer(source, target, slice_conversations=5, slices_in_flight=1, watch=watch).run()
    assert found in ids(target)


def test_p9_a_score_changed_while_the_transfer_runs_arrives_in_its_last_form(
    source: PostgresAddress, target: ClickHouse
) -> None:
    people.fill(source, count=50, scores=1)
    change = (
        "UPDATE director.historic_scorecard_scores SET numeric_value = 42, updated_at = now()"
        " WHERE scorecard_id = 's-acmedefault-0'"
    )
    watch = Meddling(after=4, meddle=lambda: execute(source, change))
    loads.transfer(source, target, slice_conversations=5, slices_in_flight=1, watch=watch).run()
    value = "SELECT numeric_value FROM score FINAL WHERE scorecard_id = 's-acmedefault-0'"
    assert targets.rows(target, value) == [(42.0,)]


@pytest.mark.parametrize("stop_after", [1, 2, 5, 9])
def test_t2_nothing_is_lost_when_a_stopped_transfer_goes_on_from_its_last_cursor(
    source: PostgresAddress, target: ClickHouse, stop_after: int
) -> None:
    people.fill(source, count=300, days=2)
    watch = loads.Watching(stop_after=stop_after)
    with pytest.raises(Stopped):
        loads.transfer(source, target, days=2, slice_conversations=30, watch=watch).run()
    last = loads.transfer(
        source, target, days=2, slice_conversations=30, version=loads.VERSION + timedelta(microseconds=1)
    ).run(watch.cursors[-1])
    assert len(ids(target)) == len(set(ids(target))) == last.done == last.total == 300


def test_t5_rows_do_not_wait_for_the_count_of_all_which_may_outlast_a_heartbeat(
    source: PostgresAddress, target: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.fill(source, count=300, days=2)
    watch, slow = loads.Watching(stop_after=3), threading.Event()
    monkeypatch.setattr(read.Source, "total", lambda _: slow.wait(3))
    with pytest.raises(Stopped):
        loads.transfer(source, target, days=2, slice_conversations=30, watch=watch).run()
    assert [c.total for c in watch.cursors] == [None] * 3
    assert watch.cursors[-1].done > 0
    resumed = cursor_from(Progress(0, 0, None).details(Cursor=watch.cursors[-1].as_details()))
    assert resumed == watch.cursors[-1]
    monkeypatch.undo()
    last = loads.transfer(source, target, days=2, slice_conversations=30).run(resumed)
    assert (last.done, last.total) == (300, 300)


def test_l1_rows_loaded_again_after_a_delete_are_not_dropped_as_duplicates(
    source: PostgresAddress, target: ClickHouse
) -> None:
    people.fill(source, count=50)
    loads.transfer(source, target).run()
    for table in targets.OF_CONVERSATIONS:
        delete = f"DELETE FROM {table} WHERE customer_id = 'acme'"
        target.shards[0].client().command(delete, settings={"lightweight_deletes_sync": 2})
    assert targets.counts(target)["score"] == 0
    loads.transfer(source, target).run()
    assert targets.counts(target) == {"conversation": 50, "scorecard": 50, "score": 150}


def test_l2_bytes_sent_twice_after_a_lost_answer_are_not_doubled(
    source: PostgresAddress, target: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.fill(source, count=50)
    send = Loader._send

    def send_twice(self: Loader, *batch: Any) -> None:
        send(self, *batch)
        send(self, *batch)

    monkeypatch.setattr(Loader, "_send", send_twice)
    loads.transfer(source, target).run()
    assert targets.counts(target) == {"conversation": 50, "scorecard": 50, "score": 150}


def test_l3_days_do_not_shift_on_a_host_in_new_york(source: PostgresAddress, target: ClickHouse) -> None:
    people.fill(source, count=24)
    program = (
        "import sys; from backfill_pipeline.config import *; from backfill_pipeline.stores.clickhouse import ClickHouse;"
        "from backfill_pipeline_tests.worker import loads;"
        "loads.transfer(PostgresAddress.model_validate_json(sys.argv[1]),"
        " ClickHouse(ClickHouseAddress.model_validate_json(sys.argv[2]))).run()"
    )
    arguments = [source.model_dump_json(), target.address.model_dump_json()]
    env = {**os.environ, "TZ": "America/New_York"}
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, env=env, timeout=60)
    span = "SELECT toString(min(conversation_start_time)), toString(max(conversation_start_time)), count() FROM score"
    assert targets.rows(target, span) == [("2026-01-15 00:00:00.000", "2026-01-15 23:00:00.000", 72)]
    assert targets.rows(target, "SELECT DISTINCT toUnixTimestamp64Micro(update_time) FROM score") == [
        (int(loads.VERSION.timestamp()) * 10**6 + loads.VERSION.microsecond,)
    ]


def test_l5_241_a_batch_too_large_for_the_servers_memory_is_halved(
    source: PostgresAddress, target: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault is made up: a server can't be made to run out of memory at a known number of rows."""
    people.fill(source, count=5000, scores=2)
    send, sizes = Loader._send, []

    def short_of_memory(self: Loader, shard: Any, batch: Any) -> None:
        if batch.rows.num_rows > 3000:
            raise PipelineError("no memory", where="test", why="241", next_step="none", code="241")
        sizes.append(batch.rows.num_rows)
        send(self, shard, batch)

    monkeypatch.setattr(Loader, "_send", short_of_memory)
    loads.transfer(source, target).run()
    assert targets.counts(target) == {"conversation": 5000, "scorecard": 5000, "score": 10000}
    assert max(sizes) <= 3000


def test_l4_l5_252_too_many_parts_lose_no_row_and_are_waited_for(
    source: PostgresAddress, target: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.fill(source, count=100)
    client = target.shards[0].client()
    client.command("SYSTEM STOP MERGES score")
    client.command("ALTER TABLE score MODIFY SETTING parts_to_throw_insert = 2, parts_to_delay_insert = 2")
    pauses: list[float] = []

    def pause(self: Any, seconds: float) -> None:
        pauses.append(seconds)
        client.command("ALTER TABLE score MODIFY SETTING parts_to_throw_insert = 3000, parts_to_delay_insert = 3000")

    monkeypatch.setattr("backfill_pipeline.worker.transfer.engine.Transfer._pause", pause)
    loads.transfer(source, target, slice_conversations=10, slices_in_flight=1).run()
    assert targets.counts(target)["score"] == 300
    assert pauses


def test_p3_a_slice_too_large_to_read_is_read_in_smaller_ones(
    source: PostgresAddress, target: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.fill(source, count=500, scores=4)
    monkeypatch.setattr(read, "MAX_SLICE_BYTES", 40_000)
    last = loads.transfer(source, target).run()
    assert targets.counts(target) == {"conversation": 500, "scorecard": 500, "score": 2000}
    assert last.done == 500


def test_p4_no_transaction_idles_in_postgresql_while_the_sink_writes(
    source: PostgresAddress, target: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.fill(source, count=100)
    send, looks = Loader._send, []
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in tr%'"

    def look(self: Loader, *batch: Any) -> None:
        """A read beside it is idle between two statements for a moment; one that waits for the sink stays so."""
        with Postgres(source).connection() as connection:
            wait_until(lambda: connection.execute(asked).fetchall() == [(0,)], "no idle transaction", 20)
        looks.append(batch)
        send(self, *batch)

    monkeypatch.setattr(Loader, "_send", look)
    loads.transfer(source, target, slice_conversations=25, slices_in_flight=1).run()
    assert len(looks) > 4


def test_a_column_that_the_target_lacks_is_left_out_but_a_key_or_version_is_refused_by_name(
    source: PostgresAddress, target: ClickHouse
) -> None:
    people.fill(source, count=5)
    client = target.shards[0].client()
    client.command("ALTER TABLE score DROP COLUMN weight")
    loads.transfer(source, target).run()
    assert targets.counts(target)["score"] == 15
    client.command("DROP TABLE scorecard")
    columns = "customer_id String, profile_id String, scorecard_id String"
    client.command(f"CREATE TABLE scorecard ({columns}) ENGINE = ReplacingMergeTree ORDER BY scorecard_id")
    with pytest.raises(Refused, match=r"conversation_start_time.*update_time"):
        loads.transfer(source, target)


def test_a_null_does_not_silently_become_an_empty_text(source: PostgresAddress, target: ClickHouse) -> None:
    people.fill(source, count=1)
    target.shards[0].client().command("ALTER TABLE scorecard MODIFY COLUMN creator_user_id String DEFAULT ''")
    with pytest.raises(PipelineError, match="creator_user_id"):
        loads.transfer(source, target).run()


def test_the_days_of_a_range_within_a_day_are_not_rounded_to_whole_ones() -> None:
    request = loads.Request("acme", "default", DAY + timedelta(hours=12), DAY + timedelta(days=1, hours=12))
    middle = datetime(2026, 1, 16, tzinfo=UTC)
    assert list(request.days()) == [(request.start, middle), (middle, request.end)]
