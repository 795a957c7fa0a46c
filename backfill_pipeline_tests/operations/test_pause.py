"""A pause that is told holds the runs back, and a half-done one says what is left to do."""

from collections.abc import Iterator

import pytest

from backfill_pipeline.clients.dagster import DagsterClient
from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.domain.errors import PipelineError, Refused
from backfill_pipeline.operations.pause import pause, resume
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.pauses import end_pause, hold, paused_clusters, read_pauses, release, write_pause
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline_tests.live import Live

AWAY = DagsterClient("http://127.0.0.1:9", seconds=2)
NO_LEDGER = Ledger(Postgres(PostgresAddress(host="127.0.0.1", port=9, database="ledger")))


@pytest.fixture(autouse=True)
def nothing_is_left_paused(ledger: Ledger) -> Iterator[None]:
    yield
    end_pause(ledger, "north")


def test_a_cluster_is_told_as_paused_while_dagster_that_is_away_lets_its_runs_start(
    engines: Live, ledger: Ledger
) -> None:
    with pytest.raises(PipelineError, match="not sure that north is paused") as error:
        pause(AWAY, ledger, engines.config.cluster("north"), "its disk is being changed")
    assert "repeat it: backfill pause north --why 'its disk is being changed'" in str(error.value)
    assert paused_clusters(ledger) == frozenset()


def test_a_resume_that_gave_no_slot_back_counts_as_done(engines: Live, ledger: Ledger) -> None:
    write_pause(ledger, "north", why="its disk", by_whom="alice")
    with pytest.raises(PipelineError, match="still told as paused") as error:
        resume(AWAY, ledger, engines.config.cluster("north"))
    assert "repeat it: backfill resume north" in str(error.value)
    assert paused_clusters(ledger) == {"north"}


def test_what_is_half_done_as_the_ledger_is_away_is_not_told(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    slots: list[tuple[str, int]] = []

    def set_slots(pool: str, limit: int) -> None:
        slots.append((pool, limit))
        monkeypatch.setattr(ledger, "transaction", NO_LEDGER.transaction)  # it goes away in between

    with pytest.raises(PipelineError, match=r"Nothing more starts on north, but .* does not say") as error:
        hold(set_slots, ledger, "north", why="its disk", by_whom="alice")
    assert "repeat it: backfill pause north" in str(error.value)
    monkeypatch.undo()
    write_pause(ledger, "north", why="its disk", by_whom="alice")
    with pytest.raises(PipelineError, match=r"Runs start on north, but .* still says") as error:
        release(set_slots, ledger, "north", 2)
    assert "repeat it: backfill resume north" in str(error.value)
    monkeypatch.undo()
    assert [limit for _, limit in slots] == [0, 2]
    assert read_pauses(ledger)["north"].in_force, "the resume is to be repeated"


@pytest.mark.parametrize("why", ["", "  "])
def test_a_pause_without_a_reason_puzzles_the_others(ledger: Ledger, why: str) -> None:
    slots: list[str] = []
    with pytest.raises(Refused, match="needs a reason"):
        hold(lambda pool, _: slots.append(pool), ledger, "north", why=why, by_whom="alice")
    assert (slots, paused_clusters(ledger)) == ([], frozenset())
