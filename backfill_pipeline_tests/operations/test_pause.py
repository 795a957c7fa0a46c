"""A pause that is told holds the runs back, and a half-done one says what is left to do."""

import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from backfill_pipeline import cli
from backfill_pipeline.cli import site
from backfill_pipeline.clients.dagster import DagsterClient
from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.domain.errors import PipelineError, Refused
from backfill_pipeline.operations.pause import pause, resume
from backfill_pipeline.stores import pauses
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


def test_a_reason_with_control_characters_is_obeyed_by_the_terminals_of_others(ledger: Ledger) -> None:
    hold(lambda *_: None, ledger, "north", why="its\ndisk \x1b[31mé", by_whom="alice")
    assert read_pauses(ledger)["north"].why == "its disk [31mé"


class Slots:
    """A Dagster that takes the slots of a pool."""

    def __init__(self) -> None:
        self.slots: dict[str, int] = {}

    def set_pool_limit(self, pool: str, limit: int) -> None:
        self.slots[pool] = limit


@pytest.mark.parametrize("is_stopped", [False, True])
def test_the_reason_of_a_second_pause_is_lost_without_a_word(
    engines: Live,
    ledger: Ledger,
    is_stopped: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_pause(ledger, "north", why="its disk is being changed", by_whom="alice", is_stopped=is_stopped)
    slots = Slots()
    monkeypatch.setattr(site, "dagster_client", lambda _: slots)
    monkeypatch.setattr(site, "site_of", lambda *_: site.Site(engines.config, "http://dagster"))
    monkeypatch.setattr(sys, "argv", ["backfill", "pause", "north", "--why", "an upgrade"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert f"north is {'stopped' if is_stopped else 'paused'} by alice since " in said
    assert "its disk is being changed" in said
    assert "stays as it is: your reason is kept nowhere" in said
    assert read_pauses(ledger)["north"].why == "its disk is being changed"
    assert list(slots.slots.values()) == [0], "a pool that somebody opened by hand is shut all the same"


def test_a_pause_that_is_repeated_as_its_error_says_counts_as_somebody_elses(ledger: Ledger) -> None:
    held = [hold(Slots().set_pool_limit, ledger, "north", why="its disk", by_whom="alice") for _ in "12"]
    assert held == [None, None]
    other = hold(Slots().set_pool_limit, ledger, "north", why="its disk", by_whom="bob")
    assert other
    assert other.by_whom == "alice"


def in_the_background(do: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    return thread


def test_a_resume_between_a_pauses_two_halves_leaves_a_cluster_told_as_paused_that_starts_runs(ledger: Ledger) -> None:
    """The pause has taken the slots and not yet said so; the resume would give them back and find no pause to end."""
    slots, resumes = Slots(), list[threading.Thread]()

    def resume_meanwhile(pool: str, limit: int) -> None:
        slots.set_pool_limit(pool, limit)
        resumes.append(in_the_background(lambda: release(slots.set_pool_limit, ledger, "north", 2)))
        resumes[0].join(1)
        assert resumes[0].is_alive(), "it waits for the pause"

    hold(resume_meanwhile, ledger, "north", why="its disk", by_whom="alice")
    resumes[0].join(60)
    assert (list(slots.slots.values()), paused_clusters(ledger)) == ([2], frozenset())


def test_a_pause_waits_without_end_for_one_whose_process_hangs_and_other_clusters_wait_too(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pauses, "LOCK_SECONDS", 1)
    slots, hangs, over = Slots(), threading.Event(), threading.Event()

    def hang(_pool: str, _limit: int) -> None:
        hangs.set()
        over.wait(60)

    hanging = in_the_background(lambda: hold(hang, ledger, "north", why="its disk", by_whom="alice"))
    assert hangs.wait(60)
    hold(slots.set_pool_limit, ledger, "south", why="its disk", by_whom="bob")
    end_pause(ledger, "south")
    with pytest.raises(PipelineError, match="Nothing was changed on north") as error:
        hold(slots.set_pool_limit, ledger, "north", why="its disk", by_whom="bob")
    assert "a lock was not available in time" in error.value.why
    over.set()
    hanging.join(60)
