"""Deletes on real engines: sent once, found by their marker, waited for, proved; nobody else's row is touched."""

from dataclasses import replace
from datetime import timedelta

import pytest

from backfill_pipeline.domain.deletes import Delete
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.stores import mutations
from backfill_pipeline.stores.clickhouse import ClickHouse, ShardStore
from backfill_pipeline_tests.stores.rows import MARKER, a_delete, left, put

both_methods = pytest.mark.parametrize("method", ["lightweight", "alter"])


def done(shard: ShardStore, delete: Delete, method: str = "lightweight", seconds: float = 20) -> str | None:
    mutations.submit(shard, delete, method=method)
    return mutations.wait(shard, delete, deadline_seconds=seconds, poll_seconds=0.05)[0]


def failure(shard: ShardStore, delete: Delete, seconds: float = 20) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        mutations.wait(shard, delete, deadline_seconds=seconds, poll_seconds=0.05)
    return caught.value


def held(shard: ShardStore, delete: Delete, table: str = "conversation") -> None:
    """Send a delete that the server can't begin with before `go`."""
    shard.client().command(f"SYSTEM STOP MERGES {table}")
    mutations.submit(shard, delete, method="lightweight")


def go(shard: ShardStore, table: str = "conversation") -> None:
    shard.client().command(f"SYSTEM START MERGES {table}")


def listed(shard: ShardStore) -> int:
    return int(shard.scalar("SELECT count() FROM system.mutations WHERE database = currentDatabase()"))


@both_methods
def test_d11_no_row_of_another_customer_profile_day_or_dataset_goes_with_the_delete(
    target: ClickHouse, method: str
) -> None:
    kept = [
        {"customer_id": "acme-east"}, {"customer_id": "acm"}, {"customer_id": "acme%"}, {"profile_id": "support"},
        {"conversation_start_time": "2025-12-31 23:59:59.999"}, {"conversation_start_time": "2026-01-04 00:00:00.000"},
    ]  # fmt: skip
    for shard in target.shards:
        for number, values in enumerate(kept):
            put(shard, conversation_id=f"kept-{number}", **values)
        put(shard, conversation_id="")
        put(shard, conversation_id="first", conversation_start_time="2026-01-01 00:00:00.000")
        put(shard, conversation_id="last", conversation_start_time="2026-01-03 23:59:59.999")
    for shard in target.shards:
        done(shard, a_delete(), method)
    expected = ["", *(f"kept-{number}" for number in range(len(kept)))]
    assert left(target) == sorted(expected * len(target.shards))


def test_a_shard_that_was_left_out_would_keep_its_rows(target: ClickHouse) -> None:
    one, two = target.shards
    for shard in target.shards:
        put(shard)
    done(one, a_delete())
    assert mutations.survivors(one, a_delete()) == 0
    assert mutations.survivors(two, a_delete()) == 1


def test_d1_an_older_finished_delete_of_the_same_days_is_not_taken_for_ours(target: ClickHouse) -> None:
    shard = target.shards[0]
    put(shard)
    older = a_delete()
    done(shard, older)
    ours = a_delete(marker=MARKER + timedelta(milliseconds=1))
    put(shard, conversation_id="came-later")
    assert mutations.find(shard, ours) is None
    done(shard, ours)
    assert left(target) == []
    assert listed(shard) == 2


def test_d1_another_customers_delete_with_the_same_marker_is_not_taken_for_ours(target: ClickHouse) -> None:
    shard = target.shards[0]
    put(shard)
    done(shard, a_delete(customer="acme-east"))
    assert mutations.find(shard, a_delete()) is None
    done(shard, a_delete())
    assert left(target) == []


@both_methods
def test_d2_a_repeated_delete_does_not_touch_what_the_reload_wrote(target: ClickHouse, method: str) -> None:
    shard = target.shards[0]
    put(shard, conversation_id="old")
    done(shard, a_delete(), method)
    put(shard, conversation_id="new", update_time=f"{MARKER:%Y-%m-%d %H:%M:%S.%f}")
    shard.client().command(a_delete().alter, settings={"mutations_sync": 2})
    assert left(target) == ["new"]


@both_methods
def test_d12_a_sent_delete_is_found_by_its_marker_and_not_sent_again(target: ClickHouse, method: str) -> None:
    shard = target.shards[0]
    put(shard)
    done(shard, a_delete(), method)
    done(shard, a_delete(), method)
    assert listed(shard) == 1


def test_d12_the_call_returns_before_the_delete_is_done_so_that_the_deadline_is_ours(target: ClickHouse) -> None:
    shard = target.shards[0]
    put(shard)
    held(shard, a_delete())
    found = mutations.find(shard, a_delete())
    assert found
    assert not found.is_done
    go(shard)
    done(shard, a_delete())
    assert left(target) == []


def test_d12_a_projection_that_forbids_light_deletes_does_not_stop_the_run(target: ClickHouse) -> None:
    shard = target.shards[0]
    shard.client().command("ALTER TABLE conversation MODIFY SETTING deduplicate_merge_projection_mode = 'drop'")
    shard.client().command(
        "ALTER TABLE conversation ADD PROJECTION p (SELECT customer_id, count() GROUP BY customer_id)"
    )
    put(shard)
    with pytest.raises(PipelineError) as caught:
        mutations._send(shard, a_delete(), "lightweight")
    assert caught.value.code == "344"
    done(shard, a_delete())
    assert left(target) == []


def test_d3_an_id_that_the_server_does_not_list_is_not_done_while_rows_survive(target: ClickHouse) -> None:
    shard = target.shards[0]
    put(shard)
    error = failure(shard, a_delete(), seconds=0.5)
    assert error.kind is Kind.RETRY
    assert "not done within" in error.why
    assert left(target) == ["c1"]


def test_d3_a_purged_id_with_no_survivor_is_done(target: ClickHouse) -> None:
    shard = target.shards[0]
    assert mutations.wait(shard, a_delete(), deadline_seconds=1) == (None, ())


def test_d3_a_dead_replica_does_not_hang_the_wait_and_is_named(target: ClickHouse) -> None:
    alive = target.shards[0]
    put(alive)
    dead = alive.replicas[0].model_copy(update={"port": 9})
    shard = ShardStore(1, [*alive.replicas, dead], target.address)
    mutations.submit(shard, a_delete(), method="lightweight")
    _, inactive = mutations.wait(shard, a_delete(), deadline_seconds=20)
    assert inactive == ("127.0.0.1:9",)
    with pytest.raises(PipelineError, match=r"127\.0\.0\.1:9"):
        mutations.wait(ShardStore(1, [dead], target.address), a_delete(), deadline_seconds=1)


def test_d4_a_delete_that_can_not_succeed_stops_with_its_reason_and_the_kill_statement(target: ClickHouse) -> None:
    shard = target.shards[0]
    put(shard)
    hopeless = replace(a_delete(), places=f"{a_delete().places} AND throwIf(conversation_id = 'c1') = 0")
    mutations.submit(shard, hopeless, method="lightweight")
    error = failure(shard, hopeless)
    assert error.kind is Kind.STOP
    assert "throwIf" in error.why
    shard.client().command(error.next_step.split("give the mutation up: ")[1])
    assert mutations.find(shard, hopeless) is None


def test_d4_a_slow_delete_that_failed_nowhere_is_not_given_up_early(target: ClickHouse) -> None:
    shard = target.shards[0]
    put(shard)
    held(shard, a_delete())
    assert "not done within 1 s" in failure(shard, a_delete(), seconds=1).why
    go(shard)


class Answers:
    """A shard's client that carries a command out and then answers with an error, as a loaded cluster does."""

    def __init__(self, shard: ShardStore, code: int, *, carries_out: bool) -> None:
        self._real, self._code, self._carries_out, self.sent = shard.client(), code, carries_out, 0

    def command(self, sql: str, **more: object) -> None:
        self.sent += 1
        if self._carries_out:
            self._real.command(sql, **more)  # type: ignore[arg-type]
        raise RuntimeError(f"Code: {self._code}. DB::Exception: made by a test")

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


def answering(shard: ShardStore, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> Answers:
    monkeypatch.setattr(shard, "client", lambda: answers)
    return answers


class Older:
    """A shard's client to a server that lacks some settings, and refuses them as such a server does."""

    def __init__(self, shard: ShardStore, lacks: set[str]) -> None:
        self._real, self._lacks, self.sent = shard.client(), lacks, 0
        self.server_settings = {k: v for k, v in self._real.server_settings.items() if k not in lacks}

    def command(self, sql: str, settings: dict[str, object], **more: object) -> None:
        self.sent += 1
        for unknown in self._lacks & set(settings):
            raise RuntimeError(f"Code: 115. DB::Exception: Unknown setting '{unknown}'. (UNKNOWN_SETTING)")
        self._real.command(sql, settings=settings, **more)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


@both_methods
@pytest.mark.parametrize(
    "lacks",
    [{"lightweight_delete_mode"}, {"lightweight_delete_mode", "lightweight_deletes_sync"}],
    ids=["25.3", "24.3"],
)
def test_d12_a_server_older_than_a_setting_does_not_refuse_the_delete_for_it(
    target: ClickHouse, monkeypatch: pytest.MonkeyPatch, method: str, lacks: set[str]
) -> None:
    shard = target.shards[0]
    put(shard)
    older = Older(shard, lacks)
    monkeypatch.setattr(shard, "client", lambda: older)
    done(shard, a_delete(), method)
    assert older.sent == 1
    assert left(target) == []


@pytest.mark.parametrize("code", [341, 159])
@pytest.mark.parametrize("is_listed", [True, False])
def test_d5_a_delete_that_was_accepted_with_an_error_is_waited_for_and_not_sent_again(
    target: ClickHouse, monkeypatch: pytest.MonkeyPatch, code: int, is_listed: bool
) -> None:
    shard = target.shards[0]
    put(shard)
    answers = answering(shard, Answers(shard, code, carries_out=is_listed), monkeypatch)
    mutations.submit(shard, a_delete(), method="lightweight")
    assert answers.sent == 1
    monkeypatch.undo()
    if not is_listed:  # it goes on somewhere and is listed later
        mutations._send(shard, a_delete(), "lightweight")
    mutations.wait(shard, a_delete(), deadline_seconds=20)
    assert left(target) == []


def test_d2_a_lost_answer_is_followed_by_a_look_up_and_a_real_refusal_is_raised(
    target: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = target.shards[0]
    put(shard)
    answers = answering(shard, Answers(shard, 210, carries_out=True), monkeypatch)
    done(shard, a_delete())
    assert answers.sent == 1
    later = a_delete(marker=MARKER + timedelta(seconds=1))
    answering(shard, Answers(shard, 497, carries_out=False), monkeypatch)
    with pytest.raises(PipelineError, match="privileges"):
        mutations.submit(shard, later, method="lightweight")


def full_queue(shard: ShardStore) -> None:
    """As many deletes wait as may; `go` lets them through."""
    put(shard)
    shard.client().command("SYSTEM STOP MERGES conversation")
    for number in range(mutations.MAX_WAITING):
        mutations.submit(shard, a_delete(marker=MARKER + timedelta(seconds=number)), method="lightweight")


def test_d6_no_mutation_is_added_to_a_table_on_which_many_wait(target: ClickHouse) -> None:
    shard = target.shards[0]
    full_queue(shard)
    with pytest.raises(PipelineError, match="10 mutations wait on conversation; none was added"):
        mutations.wait_for_room(shard, "conversation", deadline_seconds=0)
    assert listed(shard) == mutations.MAX_WAITING
    go(shard)


def test_d6_a_delete_waits_for_room_with_a_growing_pause_and_is_then_sent(target: ClickHouse) -> None:
    shard, pauses = target.shards[0], list[float]()
    full_queue(shard)
    extra = a_delete(marker=MARKER + timedelta(hours=1))

    def slept(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            go(shard)
        assert len(pauses) == 3 or mutations.find(shard, extra) is None

    mutations.submit(shard, extra, method="lightweight", sleep=slept)
    assert pauses[:3] == [0.5, 1.0, 2.0]
    assert mutations.find(shard, extra)


def test_d8_a_cancelled_delete_is_killed_on_the_server_and_its_rows_stay(target: ClickHouse) -> None:
    shard = target.shards[0]
    put(shard)
    held(shard, a_delete())
    assert mutations.kill(shard, a_delete())
    go(shard)
    assert mutations.find(shard, a_delete()) is None
    assert left(target) == ["c1"]
    assert not mutations.kill(shard, a_delete())


def test_d4_a_delete_that_somebody_else_killed_is_not_waited_for_until_its_deadline(target: ClickHouse) -> None:
    shard = target.shards[0]
    put(shard)
    held(shard, a_delete())

    def killed_by_hand(_: float) -> None:
        mutations.kill(shard, a_delete())

    with pytest.raises(PipelineError, match="killed") as caught:
        mutations.wait(shard, a_delete(), deadline_seconds=60, poll_seconds=0.01, sleep=killed_by_hand)
    assert caught.value.kind is Kind.STOP
    assert left(target) == ["c1"]


def test_d9_a_count_of_survivors_that_failed_is_no_zero(target: ClickHouse) -> None:
    shard = target.shards[0]
    shard.client().command("DROP TABLE conversation SYNC")
    with pytest.raises(PipelineError) as caught:
        mutations.survivors(shard, a_delete())
    assert caught.value.kind is Kind.MISSING
    with pytest.raises(PipelineError):
        mutations.wait(shard, a_delete(), deadline_seconds=1)


def test_d13_a_delete_with_a_subquery_that_replicated_refuses_is_refused_here_too(target: ClickHouse) -> None:
    shard = target.shards[0]
    put(shard)
    sub = replace(a_delete(), places=f"{a_delete().places} AND conversation_id IN (SELECT 'c1')")
    with pytest.raises(PipelineError) as caught:
        mutations.submit(shard, sub, method="lightweight")
    assert caught.value.code == "36"
