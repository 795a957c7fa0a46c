"""The PostgreSQL store against a real server: every failure leaves as one of our kinds, from both drivers."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.stores import postgres
from backfill_pipeline.stores.arrow import arrow_reader
from backfill_pipeline.stores.postgres import Postgres, must_shrink, rule_of
from backfill_pipeline_tests.worker import servers

Run = Callable[[Postgres, str], object]


def by_psycopg(store: Postgres, sql: str) -> object:
    with store.connection() as connection:
        return connection.execute(sql).fetchall()


def by_adbc(store: Postgres, sql: str) -> object:
    with arrow_reader(store) as reader:
        return reader.read(sql)


both_drivers = pytest.mark.parametrize("run", [by_psycopg, by_adbc])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresAddress]:
    with servers.postgres_server(tmp_path_factory.mktemp("postgres") / "data") as server:
        yield servers.new_source(server, "store")


@pytest.fixture
def store(address: PostgresAddress) -> Postgres:
    return Postgres(address)


def failure(run: Run, store: Postgres, sql: str) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        run(store, sql)
    return caught.value


@both_drivers
def test_a_password_that_is_tidied_with_its_message_is_printed(
    run: Run, address: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two blanks, one that breaks no line, one that is none, and one that PostgreSQL quotes as another."""
    monkeypatch.setenv("ODD_PASSWORD", "correct  horse\u00a0battery\u200bstaple\tS3CRET")
    odd = Postgres(address.model_copy(update={"password_env": "ODD_PASSWORD", "password_file": None}))
    error = failure(run, odd, "SELECT 'correct  horse\u00a0battery\u200bstaple\tS3CRET'::int")
    assert "***" in error.why
    assert "horse" not in str(error)
    assert "S3CRET" not in str(error)


@both_drivers
def test_a_password_that_is_a_word_of_the_message_hides_what_failed(
    run: Run, address: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not the server's: a login that it refuses is left to a person."""
    monkeypatch.setenv("ODD_PASSWORD", "password")
    odd = Postgres(address.model_copy(update={"password_env": "ODD_PASSWORD", "password_file": None}))
    error = failure(run, odd, "SELECT nope FROM app.chats")
    assert "password" not in error.why
    wrong = odd._named(psycopg.OperationalError('connection failed: password authentication failed for user "app"'))
    assert (wrong.kind, wrong.why) == (Kind.STOP, 'connection failed: *** authentication failed for user "app"')


@both_drivers
@pytest.mark.parametrize(
    ("sql", "named"), [("SELECT nope FROM app.chats", "nope"), ("SELECT 1 FROM app.nowhere", "app.nowhere")]
)
def test_p8_a_missing_column_or_table_is_named_and_not_retried(store: Postgres, run: Run, sql: str, named: str) -> None:
    error = failure(run, store, sql)
    assert error.kind is Kind.MISSING
    assert named in str(error)


@both_drivers
def test_p3_a_statement_that_takes_too_long_is_ended_and_asks_for_fewer_rows(
    address: PostgresAddress, run: Run
) -> None:
    hasty = Postgres(address.model_copy(update={"statement_timeout_seconds": 1}))
    error = failure(run, hasty, "SELECT pg_sleep(20)")
    assert (error.kind, error.code, must_shrink(error)) == (Kind.RETRY, "57014", True)


@both_drivers
def test_p1_a_session_ended_by_an_administrator_in_mid_read_is_retried(store: Postgres, run: Run) -> None:
    others = "FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)%' AND state = 'active' AND pid != pg_backend_pid()"
    end = f"SELECT pg_terminate_backend(pid) {others}"

    def end_it() -> None:
        with store.connection() as connection:
            servers.wait_until(lambda: bool(connection.execute(end).fetchall()), "the session's end")

    ending = threading.Thread(target=end_it)
    ending.start()
    error = failure(run, store, "SELECT pg_sleep(20)")
    ending.join(10)
    assert error.kind is Kind.RETRY


def test_p1_the_loser_of_a_deadlock_is_retried(store: Postgres) -> None:
    with store.connection() as first, store.connection() as rival:
        first.execute("CREATE TABLE fork AS SELECT generate_series(1, 2) AS id")
        for connection, row in ((first, 1), (rival, 2)):
            connection.execute("BEGIN")
            connection.execute("UPDATE fork SET id = id WHERE id = %s", [row])
        outcomes: list[PipelineError | None] = []

        def try_it(connection: object, row: int) -> None:
            try:
                with store.translated():
                    _update(connection, row)
                outcomes.append(None)
            except PipelineError as error:
                outcomes.append(error)

        waiting = threading.Thread(target=try_it, args=(rival, 1))
        waiting.start()
        try_it(first, 2)
        first.execute("ROLLBACK")
        waiting.join(10)
    lost = [error for error in outcomes if error]
    assert [(e.kind, e.code) for e in lost] == [(Kind.RETRY, "40P01")]


def _update(connection: object, row: int) -> None:
    connection.execute("UPDATE fork SET id = id WHERE id = %s", [row])  # type: ignore[attr-defined]


def test_p2_a_conflict_with_recovery_during_connect_has_no_code_and_is_still_retried() -> None:
    message = "FATAL: canceling statement due to conflict with recovery"
    assert rule_of(None, message).kind is Kind.RETRY
    assert rule_of("40001", message).kind is Kind.RETRY
    assert "hot_standby_feedback" in rule_of(None, message).next_step


def test_an_error_that_no_rule_knows_is_never_taken_for_a_harmless_one() -> None:
    assert rule_of("XX001", "data corrupted").kind is Kind.UNKNOWN
    assert rule_of(None, "something else").kind is Kind.UNKNOWN


def test_every_rule_says_a_reason_and_a_next_step() -> None:
    rules = [*postgres.SQLSTATES.values(), *(rule for _, rule in postgres.CONNECT_TEXTS)]
    assert all(rule.reason and rule.next_step and rule.kind is not Kind.UNKNOWN for rule in rules)


@both_drivers
def test_a_server_that_is_away_is_named_with_its_address(address: PostgresAddress, run: Run) -> None:
    port = servers.free_port()
    error = failure(run, Postgres(address.model_copy(update={"port": port})), "SELECT 1")
    assert error.kind is Kind.UNREACHABLE
    assert f"127.0.0.1:{port}" in error.where


@both_drivers
def test_a_password_never_stands_in_an_error(
    address: PostgresAddress, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_PASSWORD", "s3cret-of-acme")
    store = Postgres(address.model_copy(update={"password_env": "SOME_PASSWORD"}))
    error = failure(run, store, "SELECT 's3cret-of-acme'::int")
    assert "s3cret" not in str(error)
    assert error.__cause__ is None


def test_two_counts_of_one_snapshot_do_not_differ_by_what_was_written_between_them(store: Postgres) -> None:
    count = "SELECT count(*) FROM app.agent_assist_events"
    add = "INSERT INTO app.agent_assist_events VALUES ('acme', 'default', 'c1', 'hint', now())"
    with store.snapshot() as snapshot, arrow_reader(store) as reader, store.connection() as writer:
        before = snapshot.execute(count).fetchone(), reader.read(count).to_pylist()
        writer.execute(add)
        assert (snapshot.execute(count).fetchone(), reader.read(count).to_pylist()) == before
    with pytest.raises(PipelineError, match="read-only"), store.snapshot() as snapshot:
        snapshot.execute(add)


def test_counts_of_rows_joined_by_several_ids_are_never_merged_by_some_of_them(store: Postgres) -> None:
    """The planner takes such a join for one row and then compares each with each: seen, 170 s instead of 2."""
    with store.snapshot() as connection:
        assert connection.execute("SHOW enable_mergejoin").fetchone() == ("off",)


def test_l3_times_arrive_in_utc_whatever_the_zone_of_the_host(store: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGTZ", "America/New_York")
    sql = "SELECT '2026-01-15 00:00:00+00'::timestamptz AS t, '2026-01-15'::timestamptz AS read_as_utc"
    expected = datetime(2026, 1, 15, tzinfo=UTC)
    with store.connection() as connection, arrow_reader(store) as reader:
        assert connection.execute(sql).fetchone() == (expected, expected)
        assert reader.read(sql).to_pylist() == [{"t": expected, "read_as_utc": expected}]


def test_memory_is_bounded_by_bytes_too_where_few_rows_are_huge(store: Postgres) -> None:
    with pytest.raises(PipelineError) as caught, arrow_reader(store) as reader:
        reader.read("SELECT repeat('x', 100000) AS text FROM generate_series(1, 1000)", max_bytes=10_000_000)
    assert must_shrink(caught.value)


def test_a_read_that_another_thread_cancels_ends_at_once(store: Postgres) -> None:
    def cancelled(store: Postgres, sql: str) -> object:
        with arrow_reader(store) as reader:
            threading.Timer(0.5, reader.cancel).start()
            return reader.read(sql)

    assert failure(cancelled, store, "SELECT pg_sleep(20)").code == "57014"
