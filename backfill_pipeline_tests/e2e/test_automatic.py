"""The retry sensor and the verification schedule, through the daemon."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import clickhouse_connect
import psycopg

from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stack.demo_data import generate
from backfill_pipeline_tests.e2e.ui import Ui, eventually, key
from backfill_pipeline_tests.live import WHOLE


@contextmanager
def source_away(ui: Ui, cluster: str) -> Iterator[None]:
    """The source database lets nobody in and throws out who is in it; Dagster's own databases stay."""
    address = ui.live.config.cluster(cluster).postgres
    assert address is not None
    administrator = ui.live.source_dsn(cluster).replace(f"dbname={address.database}", "dbname=postgres")
    with psycopg.connect(administrator, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{address.database}" ALLOW_CONNECTIONS false'.encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [address.database]
        )
        try:
            yield
        finally:
            connection.execute(f'ALTER DATABASE "{address.database}" ALLOW_CONNECTIONS true'.encode())


def test_a_day_failed_by_an_outage_is_green_again_without_a_hand(pipeline: Ui) -> None:
    pipeline.live.make_data()
    assert pipeline.live.wrong_rows("north", "acme-east", WHOLE)
    asset, window = key("north", "acme-east"), Window(date(2026, 1, 6), date(2026, 1, 8))
    with source_away(pipeline, "north"):
        failed = pipeline.backfilled([asset], window)
    (run,) = failed.runs
    assert failed.runs[run] == "FAILURE"
    assert "source_north" in pipeline.failure_text(run)

    with pipeline.sensor_on("retry_failed_days"):
        retried = eventually("a retry", lambda: pipeline.runs(**{"backfill/retry_of": run}))
        assert [r.tags["backfill/retry"] for r in retried] == ["0"], "a source that is away costs no attempt"
        assert pipeline.run_over(retried[0].run_id).value == "SUCCESS"
    assert pipeline.materialized_by(retried[0].run_id) == [str(d) for d in window.days]
    assert not pipeline.live.wrong_rows("north", "acme-east", window)


def test_a_row_deleted_by_hand_turns_the_day_red_at_the_next_tick(pipeline: Ui) -> None:
    today = datetime.now(UTC).date()
    live, asset, bad = pipeline.live, key("north", "acme"), today - timedelta(days=3)
    generate(live.config, size=0.06, first_day=today - timedelta(days=8), days=8, folder=live.state.folder, plant=False)
    with pipeline.schedule_on("verify_last_days"):
        eventually("a first verification", lambda: pipeline.verdict(asset, "count_parity", bad) is True)
        _delete_one_row(pipeline, "acme", bad)
        eventually("the red check", lambda: pipeline.verdict(asset, "count_parity", bad) is False)
    assert pipeline.verdict(asset, "count_parity", bad + timedelta(days=1)) is True
    assert pipeline.verdict(key("north", "acme", "labels"), "count_parity", bad) is True


def _delete_one_row(ui: Ui, customer: str, day: date) -> None:
    address = ui.live.state.gateways["north"][0]
    client = clickhouse_connect.get_client(host=address.host, port=address.port)
    where = "customer_id = {customer:String} AND toDate(conversation_start_time, 'UTC') = {day:Date}"
    at = {"customer": customer, "day": day}
    found = client.query(f"SELECT min(conversation_id) FROM conversation WHERE {where}", parameters=at).result_rows[0][
        0
    ]
    client.command(
        "DELETE FROM conversation WHERE "
        + where
        + " AND conversation_id = {id:String} SETTINGS lightweight_deletes_sync = 2",
        parameters={**at, "id": found},
    )
