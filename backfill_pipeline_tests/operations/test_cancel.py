"""`backfill cancel` with a Dagster made by hand: it says what it ends, what goes on, and what became of it."""

import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from backfill_pipeline import cli
from backfill_pipeline.cli import site
from backfill_pipeline.clients.dagster import RunState, Unfinished
from backfill_pipeline.defs.partitions import range_tags
from backfill_pipeline.operations import cancel
from backfill_pipeline.steps import systems
from backfill_pipeline.stores.ledger import Emptied
from backfill_pipeline_tests.operations.past import window

ACME, GLOBEX = ("conversations", "north", "acme"), ("conversations", "north", "globex")
GATE = ("ready", "north")
DAYS = window(1, 10)
EMPTIED = Emptied("north", "acme", "conversations", DAYS, "attempt", datetime(2026, 2, 1, tzinfo=UTC))
Said = Callable[..., tuple[int, str]]


def run_of(key: tuple[str, ...], run_id: str = "r1", status: str = "STARTED") -> RunState:
    return RunState(run_id, status, frozenset([key]), {"launched_by": "alice", **range_tags(DAYS)}, 0.0)


def backfill_of(*keys: tuple[str, ...]) -> Unfinished:
    return Unfinished("b1", "north", 0.0, frozenset([GATE, *keys]), frozenset(DAYS.days))


@dataclass
class Fake:
    """Dagster and the ledger. polls: how often a run that was asked to end is still seen."""

    runs: list[RunState] = field(default_factory=list)
    backfills: list[Unfinished] = field(default_factory=list)
    gone: list[Emptied] = field(default_factory=list)
    polls: int = 0
    ended: set[str] = field(default_factory=set)

    def unfinished_runs(self) -> tuple[RunState, ...]:
        if self.ended:
            self.polls -= 1
        if self.polls < 0:
            self.runs = [r for r in self.runs if r.run_id not in self.ended]
        return tuple(replace(r, status="CANCELING") if r.run_id in self.ended else r for r in self.runs)

    def unfinished_backfills(self) -> tuple[Unfinished, ...]:
        return tuple(self.backfills)

    def cancel_backfill(self, backfill_id: str) -> None:
        self.backfills = [b for b in self.backfills if b.backfill_id != backfill_id]

    def terminate(self, run_ids: Sequence[str]) -> dict[str, str]:
        self.ended |= set(run_ids)
        return {}

    def emptied(self) -> tuple[Emptied, ...]:
        return tuple(self.gone)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake = Fake()
    for name in ("LEDGER_PASSWORD", "NORTH_PG_PASSWORD", "NORTH_CH_PASSWORD"):
        monkeypatch.setenv(name, "-")
    monkeypatch.setattr(site, "dagster_client", lambda _: fake)
    monkeypatch.setattr(systems, "open_ledger", lambda _: fake)
    monkeypatch.setattr(cancel, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return fake


@pytest.fixture
def said(fake: Fake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Exit code and output of `backfill cancel`."""

    def ran(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["backfill", "cancel", "--config", "config.example.yaml", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), "".join(capsys.readouterr())

    return ran


def test_a_backfill_that_goes_on_with_these_customers_is_told_as_nothing(fake: Fake, said: Said) -> None:
    """It has made no run yet."""
    fake.backfills = [backfill_of(ACME, GLOBEX)]
    code, text = said("--customer", "acme", "--yes")
    assert code == 1
    assert "nothing is at work" not in text
    assert "it is not cancelled" in text
    assert "`backfill pause north --why ...`" in text
    assert "`backfill cancel --cluster north`" in text


def test_a_cancel_of_one_run_hides_that_its_backfill_launches_it_again(fake: Fake, said: Said) -> None:
    fake.backfills, fake.runs = [backfill_of(ACME, GLOBEX)], [run_of(ACME)]
    code, text = said("--customer", "acme", "--yes")
    assert (code, fake.ended) == (1, {"r1"})
    assert "it is not cancelled" in text


def test_whoever_is_asked_does_not_know_what_would_be_cancelled(fake: Fake, said: Said) -> None:
    fake.backfills, fake.runs, fake.gone = [backfill_of(ACME)], [run_of(ACME)], [EMPTIED]
    code, text = said("--customer", "acme", "--leave-empty")
    assert (code, fake.ended) == (1, set()), "nobody answered"
    assert "run r1: conversations of acme on north, 2026-01-01..2026-01-10, by alice, STARTED" in text
    assert "Cancel 1 backfill and 1 run, and leave 1 window WITHOUT ROWS?" in text
    _, text = said("--customer", "acme", "--finish")
    assert "Finish 1 emptied window, and cancel 1 backfill?" in text


def test_a_list_of_a_thousand_runs_is_printed_in_full(fake: Fake, said: Said) -> None:
    fake.runs = [run_of(ACME, f"r{n}") for n in range(1000)]
    _, text = said()
    assert text.count(", by alice, ") == 20
    assert "and 980 more runs" in text
    assert "Cancel 1,000 runs?" in text


def test_runs_that_still_end_are_told_as_cancelled(fake: Fake, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.runs, fake.gone, fake.polls = [run_of(ACME)], [EMPTIED], 5
    code, text = said("--leave-empty", "--yes")
    assert code == 0
    assert fake.runs == [], "it was waited for"
    assert "cancelled; 1 window is WITHOUT ROWS: `backfill status` shows it" in text


def test_a_run_that_does_not_end_is_waited_for_without_end(fake: Fake) -> None:
    fake.runs, fake.polls = [run_of(ACME), run_of(ACME, "r2")], 10**9
    canceller = cancel.Canceller(fake, fake, [])  # type: ignore[arg-type]
    found = cancel.AtWork((), tuple(fake.runs), (), ())
    left = canceller.wait_over(found, but=frozenset(["r2"]), deadline_seconds=0.05)
    assert [r.run_id for r in left.runs] == ["r1"]


def test_runs_that_were_only_asked_to_end_are_told_as_over(
    fake: Fake, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_over(_: cancel.Canceller, found: cancel.AtWork, **how: object) -> cancel.AtWork:
        return found

    monkeypatch.setattr(cancel.Canceller, "wait_over", not_over)
    fake.runs = [run_of(ACME)]
    code, text = said("--yes")
    assert code == 0
    assert "asked to end: 1 run; `backfill status` says when they are over" in text
    assert "cancelled" not in text


def test_a_finish_says_for_hours_what_it_has_said_and_that_it_left_something_empty(fake: Fake, said: Said) -> None:
    fake.runs, fake.gone = [run_of(ACME), run_of(ACME, "r2")], [EMPTIED]
    waited: list[int] = []

    def rows_come_back_at_last() -> tuple[RunState, ...]:
        waited.append(1)
        if len(waited) > 20:
            fake.runs, fake.gone = [], []
        return tuple(fake.runs)

    fake.unfinished_runs = rows_come_back_at_last  # type: ignore[method-assign]
    code, text = said("--finish", "--yes")
    assert code == 0
    assert text.count("at work") == 1
    assert "cancelled; what was emptied is finished, no window is without rows" in text
