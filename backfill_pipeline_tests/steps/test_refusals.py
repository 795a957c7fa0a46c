"""What inspect refuses before anything is touched: the rows stay, the days are free again, a rerun goes on."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from backfill_pipeline.clients.local_jobs import LocalJobs
from backfill_pipeline.clients.temporal import Temporal
from backfill_pipeline.config import Replica, Shard, TemporalAddress
from backfill_pipeline.domain.causes import Remedy
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.failures import diagnose_error
from backfill_pipeline.domain.guards import Approval
from backfill_pipeline.domain.plans import Launch
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.steps import delete, inspect
from backfill_pipeline.steps.dry_run import Before, foresee
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline_tests.faults.windows import CLUSTER, CUSTOMER, THREE_DAYS, Small
from backfill_pipeline_tests.steps.test_failures import jobs_that

TABLES = ("conversation", "scorecard", "score")
NOBODY = TemporalAddress(address="127.0.0.1:9")
Change = Callable[[Systems], AbstractContextManager[object]]


@pytest.fixture
def systems(small: Small) -> Iterator[Systems]:
    with small.live.systems(CLUSTER) as systems:
        yield systems


def everything(clickhouse: ClickHouse) -> list[Any]:
    """Count and hash of every physical row of every customer."""
    sql = "SELECT count(), sum(cityHash64(*)) FROM {}"
    return [s.query(sql.format(t)) for s in clickhouse.shards for t in TABLES]


def failure(systems: Systems, small: Small, at: Window = THREE_DAYS) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        inspect.inspect(systems, small.live.claim(CLUSTER, CUSTOMER, at), launched_by="test")
    return caught.value


def goes_on(systems: Systems, small: Small, *approved: Approval, deletes: bool = False) -> None:
    """A new attempt passes at once, and perhaps deletes; its days are given back."""
    claim = small.claim()
    seen = inspect.inspect(systems, claim, launched_by="test", approved=frozenset(approved))
    if deletes:
        delete.delete(systems, seen)
    systems.ledger.mark_ended(seen.attempt)
    systems.ledger.release(claim.attempt_id, seen.attempt.fence)


@contextmanager
def in_source(systems: Systems, statement: str, undo: str) -> Iterator[None]:
    with systems.postgres.connection() as connection:
        connection.execute(statement.encode())
        try:
            yield
        finally:
            connection.execute(undo.encode())


@contextmanager
def in_target(systems: Systems, statement: str, undo: str) -> Iterator[None]:
    client = systems.clickhouse.shards[0].client()
    client.command(statement)
    try:
        yield
    finally:
        client.command(undo, settings={"mutations_sync": 2})


def hidden(systems: Systems, every: int) -> AbstractContextManager[None]:
    """Of the second day's conversations one in `every` is gone from the source."""
    second = "started_at >= '2026-01-02' AND started_at < '2026-01-03'"
    return in_source(
        systems,
        f"UPDATE app.chats SET customer_id = 'gone' WHERE customer_id = 'acme' AND {second} "
        f"AND abs(hashtext(chat_id)) % {every} = 0",
        "UPDATE app.chats SET customer_id = 'acme' WHERE customer_id = 'gone'",
    )


def future_rows(systems: Systems) -> AbstractContextManager[None]:
    later = f"{systems.clickhouse.now() + timedelta(days=2):%Y-%m-%d %H:%M:%S}"
    return in_target(
        systems,
        "INSERT INTO score SELECT * REPLACE ('f' AS criterion_id, "
        f"toDateTime64('{later}', 6, 'UTC') AS update_time) FROM score WHERE customer_id = 'acme' "
        "AND conversation_id != '' LIMIT 1",
        "ALTER TABLE score DELETE WHERE criterion_id = 'f'",
    )


def a_view(systems: Systems) -> AbstractContextManager[None]:
    return in_target(
        systems,
        "CREATE MATERIALIZED VIEW per_customer ENGINE = MergeTree ORDER BY tuple() AS SELECT customer_id FROM score",
        "DROP TABLE per_customer SYNC",
    )


def no_column(systems: Systems) -> AbstractContextManager[None]:
    table = "ALTER TABLE director.scorecards RENAME COLUMN"
    return in_source(systems, f"{table} creator_user_id TO creator", f"{table} creator TO creator_user_id")


def no_table(systems: Systems) -> AbstractContextManager[None]:
    schema = "ALTER TABLE {} RENAME TO {}"
    scores = "historic_scorecard_scores"
    return in_source(systems, schema.format(f"director.{scores}", "s"), schema.format("director.s", scores))


CHANGES: list[tuple[Change, Kind, str]] = [
    (lambda s: hidden(s, 1), Kind.REFUSED, r"2026-01-02, profile default: the source has 0 of conversation"),
    (
        lambda s: hidden(s, 4),
        Kind.REFUSED,
        r"2026-01-02, profile default: the source has \d+ of conversation, .* at least 90%",
    ),
    (future_rows, Kind.REFUSED, "score: 1 rows have a version from the future"),
    (a_view, Kind.REFUSED, "the view default.per_customer is not reached by a delete"),
    (no_column, Kind.MISSING, "creator_user_id"),
    (no_table, Kind.MISSING, "historic_scorecard_scores"),
]
IDS = ["d10-empty", "d10-smaller", "future", "d14-view", "p8-column", "p8-table"]


@pytest.mark.parametrize(("change", "kind", "why"), CHANGES, ids=IDS)
def test_no_row_is_lost_by_a_window_that_must_not_be_rebuilt(
    systems: Systems, small: Small, change: Change, kind: Kind, why: str
) -> None:
    before = everything(systems.clickhouse)
    with change(systems):
        inside = everything(systems.clickhouse)
        error = failure(systems, small)
        assert everything(systems.clickhouse) == inside
    assert error.kind is kind, str(error)
    with pytest.raises(PipelineError, match=why):
        raise error
    assert everything(systems.clickhouse) == before
    goes_on(systems, small)


def unlaunchable(systems: Systems, folder: Path) -> Systems:
    """The same systems, of which somebody has suspended the CronJob."""
    suspended = jobs_that(systems, folder, "exit 3")
    manifest = folder / "manifests" / "cron-batch-reindex-conversations.yaml"
    manifest.write_text(manifest.read_text().replace("suspend: false", "suspend: true"))
    return suspended


def test_no_row_is_lost_by_a_window_whose_job_could_not_be_made(systems: Systems, small: Small, tmp_path: Path) -> None:
    before = everything(systems.clickhouse)
    suspended = unlaunchable(systems, tmp_path)
    assert "the CronJob is suspended" in foresee(suspended, small.claim(), Before()).reasons[0]
    assert "the CronJob is suspended" in failure(suspended, small).why
    assert everything(systems.clickhouse) == before
    goes_on(systems, small)


def test_no_row_is_lost_by_a_window_whose_job_can_no_longer_be_made_when_the_delete_s_turn_comes(
    systems: Systems, small: Small, tmp_path: Path
) -> None:
    before = everything(systems.clickhouse)
    seen = inspect.inspect(systems, small.claim(), launched_by="test")
    with pytest.raises(PipelineError, match="the CronJob is suspended"):
        delete.delete(unlaunchable(systems, tmp_path), seen)
    assert everything(systems.clickhouse) == before
    assert seen.attempt.attempt_id not in {e.attempt_id for e in systems.ledger.emptied()}
    goes_on(systems, small)


class Away(LocalJobs):
    """Jobs of a cluster whose API nobody reaches."""

    def __init__(self, systems: Systems) -> None:
        assert isinstance(systems.launcher, LocalJobs)
        vars(self).update(vars(systems.launcher))

    def check(self, launch: Launch) -> None:
        raise PipelineError("Away", where="here", why="-", next_step="wait", kind=Kind.UNREACHABLE)


def test_no_row_is_lost_while_the_jobs_cluster_is_away_and_its_days_are_tried_again(
    systems: Systems, small: Small
) -> None:
    before, away = everything(systems.clickhouse), replace(systems, launcher=Away(systems))
    assert diagnose_error(failure(away, small)).remedy is Remedy.WAIT
    with pytest.raises(PipelineError, match="Away"):
        foresee(away, small.claim(), Before())
    assert everything(systems.clickhouse) == before
    goes_on(systems, small)


def test_d10_every_reason_is_told_at_once_and_a_person_may_ask_for_it_by_name(systems: Systems, small: Small) -> None:
    with hidden(systems, 1), a_view(systems):
        reasons = str(failure(systems, small))
        assert "2 reasons" in reasons
        listed = systems.clickhouse.address.model_copy(update={"known_views": ["default.per_customer"]})
        goes_on(replace(systems, clickhouse=ClickHouse(listed)), small, Approval.SHRUNKEN_SOURCE)


def test_rows_from_the_future_win_for_ever_until_their_deletion_is_asked_for_by_name(
    systems: Systems, small: Small
) -> None:
    with future_rows(systems):
        assert "approved/future_versions=true" in str(failure(systems, small))
        goes_on(systems, small, Approval.FUTURE_VERSIONS, deletes=True)
        of_acme = "SELECT count() FROM score WHERE customer_id = 'acme' AND criterion_id = 'f'"
        assert systems.clickhouse.shards[0].scalar(of_acme) == 0


@pytest.mark.parametrize(
    ("today", "days", "why"),
    [(date(2026, 1, 3), 31, "is not over yet"), (date(2025, 12, 1), 31, "ends after"), (date(2026, 2, 1), 2, "3 days")],
)
def test_d11_a_window_that_is_too_long_or_not_over_is_refused_before_any_lease_is_taken(
    systems: Systems, small: Small, today: date, days: int, why: str
) -> None:
    limits = systems.limits.model_copy(update={"max_window_days": days})
    strict = replace(systems, limits=limits, today=lambda: today, temporal=Temporal(NOBODY))
    error = failure(strict, small)  # Temporal is away, and was not asked
    assert isinstance(error, Refused)
    assert why in error.why


def test_d11_a_reversed_or_open_window_can_not_be_made() -> None:
    for end in (date(2026, 1, 1), date(2025, 12, 31)):
        with pytest.raises(Refused, match="empty or reversed"):
            Window(date(2026, 1, 1), end)


def without_clickhouse(systems: Systems) -> Systems:
    nobody = Shard(replicas=[Replica(host="127.0.0.1", port=9)])
    return replace(systems, clickhouse=ClickHouse(systems.clickhouse.address.model_copy(update={"shards": [nobody]})))


def without_temporal(systems: Systems) -> Systems:
    return replace(systems, temporal=Temporal(NOBODY))


def without_postgres(systems: Systems) -> Systems:
    return replace(systems, postgres=Postgres(systems.postgres.address.model_copy(update={"port": 9})))


@pytest.mark.parametrize("without", [without_clickhouse, without_temporal, without_postgres])
def test_a_system_that_is_away_is_named_with_its_address_and_a_rerun_goes_on(
    systems: Systems, small: Small, without: Callable[[Systems], Systems]
) -> None:
    before = everything(systems.clickhouse)
    error = failure(without(systems), small)
    assert error.kind is Kind.UNREACHABLE
    assert "127.0.0.1:9" in error.where
    assert everything(systems.clickhouse) == before
    goes_on(systems, small)
