"""`backfill launch` with a Dagster made by hand and the real ledger: a dry run is what the launch does."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from backfill_pipeline import cli
from backfill_pipeline.cli import site
from backfill_pipeline.clients.dagster import BackfillState, DagsterClient, RunState
from backfill_pipeline.defs import tags
from backfill_pipeline.defs.ended_runs import WITHOUT_A_WORD
from backfill_pipeline.defs.partitions import range_tags
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.operations import wait
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.pauses import end_pause, write_pause
from backfill_pipeline_tests.live import Live
from backfill_pipeline_tests.operations.past import Past, config_of, window

MONTH = ("--start-time", "2026-01-01", "--end-time", "2026-01-31")
REPORTS = [
    {},
    {"g": "STARTED"},
    {"g": "STARTED"},
    {"g": "SUCCESS", "a": "QUEUED", "b": "QUEUED"},
    *[{"g": "SUCCESS", "a": "STARTED", "b": "QUEUED"}] * 50,
    {"g": "SUCCESS", "a": "SUCCESS", "b": "CANCELING"},
    {"g": "SUCCESS", "a": "SUCCESS", "b": "FAILURE"},
]
PAUSED = "nothing starts until `backfill resume north`"
Said = Callable[..., tuple[int, str]]


@dataclass
class Idle:
    """A Dagster in which nothing waits or works. launched: asset -> its windows."""

    launched: dict[Sequence[str], Sequence[Window]] = field(default_factory=dict)
    reports: list[dict[str, str]] = field(default_factory=list)
    bad: tuple[RunState, ...] = ()

    def unfinished_runs(self) -> tuple[()]:
        return ()

    def unfinished_backfills(self) -> tuple[()]:
        return ()

    def launch_days(self, days: Mapping[Sequence[str], Sequence[Window]], **_: object) -> str:
        self.launched = dict(days)
        return "b1"

    def backfill(self, backfill_id: str) -> BackfillState:
        """One report after the other; the last is the end."""
        runs = self.reports.pop(0)
        return BackfillState(backfill_id, "REQUESTED" if self.reports else "COMPLETED", "", runs)

    def bad_runs(self, backfill_id: str) -> tuple[RunState, ...]:
        assert backfill_id == "b1"
        return self.bad


@pytest.fixture(scope="module", autouse=True)
def data(engines: Live) -> None:
    engines.make_data(size=0.02, days=3)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> Idle:
    idle = Idle()
    monkeypatch.setattr(site, "dagster_client", lambda _: idle)
    return idle


@pytest.fixture
def past(engines: Live, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Past:
    """A customer of north, the only one."""
    past = Past(ledger)
    config = config_of(engines.config, (past.cluster, past.customer))
    monkeypatch.setattr(site, "site_of", lambda *_: site.Site(config, "http://dagster"))
    return past


@pytest.fixture
def paused(ledger: Ledger) -> Iterator[None]:
    write_pause(ledger, "north", why="its disk is being changed", by_whom="alice")
    yield
    end_pause(ledger, "north")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Exit code and output of a command."""

    def ran(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["backfill", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), "".join(capsys.readouterr())

    return ran


def test_a_dry_run_shows_days_that_the_launch_leaves_out(past: Past, idle: Idle, said: Said) -> None:
    past.recorded(window(1, 4))
    past.recorded(window(9, 9))
    code, shown = said("launch", *MONTH, "--dry-run")
    assert (code, idle.launched) == (0, {})
    code, launched = said("launch", *MONTH, "--yes")
    assert code == 0
    left = [w for w in launched.splitlines() if w.startswith(("done: ", "26 days of 1 asset on north"))]
    assert len(left) == 2
    assert [line for line in shown.splitlines() if line in left] == left
    windows = idle.launched["conversations", "north", past.customer]
    assert list(windows) == [window(5, 8), window(10, 31)]
    runs = [str(run) for w in windows for run in w.split(10)]
    assert [run for run in runs if f"conversations {run}" not in shown] == []
    assert "2026-01-01..2026-01-10" not in shown, "as if nothing were done"


def test_a_dry_run_of_days_that_are_all_done_plans_them(past: Past, idle: Idle, said: Said) -> None:
    past.recorded(window(1, 31))
    code, shown = said("launch", *MONTH, "--dry-run")
    assert code == 0
    assert "nothing is left to launch" in shown
    assert "Plan of" not in shown
    _, shown = said("launch", *MONTH, "--dry-run", "--again")
    assert "done again" in shown
    assert "Plan of" in shown


@pytest.mark.usefixtures("paused", "past", "idle")
@pytest.mark.parametrize("how", [("launch", "--dry-run"), ("launch", "--yes"), ("plan",), ("plan", "--statements")])
def test_nobody_says_why_nothing_will_start(how: tuple[str, ...], said: Said) -> None:
    command, *options = how
    code, text = said(command, *MONTH, *options)
    assert code == 0
    text = " ".join(text.split())
    assert "north is paused by alice since " in text
    assert f"its disk is being changed; {PAUSED}" in text
    assert text.count(PAUSED) == 1


def bad(customer: str, run_id: str, **told: str) -> RunState:
    key = frozenset([("conversations", "north", customer)])
    return RunState(run_id, told.pop("status", "FAILURE"), key, {**range_tags(window(1, 3)), **told}, 0.0)


def test_a_wait_of_hours_tells_nothing_or_the_same_again_and_ends_in_a_python_dict(
    past: Past, idle: Idle, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "POLL_SECONDS", 0.001)
    why = {tags.SAID_BY: "b", tags.CAUSE: "no_room", tags.EVIDENCE: "0/3 nodes\nhave room"}
    inherited = {tags.SAID_BY: "another", tags.CAUSE: "no_room", tags.EVIDENCE: "of the run that it repeats"}
    idle.reports = list(REPORTS)
    idle.bad = (bad("acme", "b", **why), bad("acme", "c", **inherited), bad("acme", "d", status="CANCELED"))
    code, text = said("launch", *MONTH, "--yes", "--wait")
    assert code == 1
    assert [line for line in text.splitlines() if line.startswith("north: ")][1:] == [
        "north: no runs yet",
        "north: runs 1 running",
        "north: runs 2 queued, 1 done",
        "north: runs 1 queued, 1 running, 1 done",
        "north: runs 1 running, 2 done",
        "north: runs 2 done, 1 failed",
    ]
    who = "conversations of acme on north, 2026-01-01..2026-01-03"
    assert f"failed: {who}, run b: no_room: 0/3 nodes have room\n" in text
    assert f"failed: {who}, run c: unknown: {WITHOUT_A_WORD}\n" in text
    assert f"cancelled: {who}, run d\n" in text
    assert text.endswith("`backfill status` says what becomes of them\n")
    assert "{" not in text


def test_a_wait_for_what_ended_well_says_that_something_is_left(past: Past, idle: Idle, said: Said) -> None:
    idle.reports = [{"g": "SUCCESS", "a": "SUCCESS"}]
    code, text = said("launch", *MONTH, "--yes", "--wait")
    assert code == 0
    assert text.endswith("north: runs 2 done\nbackfill b1: COMPLETED\n")


class Endless(DagsterClient):
    """Its backfill is never over."""

    def backfill(self, backfill_id: str) -> BackfillState:
        return BackfillState(backfill_id, "REQUESTED", "", {})


def test_a_wait_goes_on_past_its_deadline() -> None:
    endless = Endless("http://127.0.0.1:9")
    with pytest.raises(PipelineError, match="not over"):
        wait.wait(endless, {"north": "b1"}, lambda _: None, deadline_seconds=0.01, sleep=lambda _: None)


@dataclass
class Restarted(Endless):
    """Nobody listens there at these looks: then the backfill is over."""

    away: set[int]
    looks: int = 0

    def __post_init__(self) -> None:
        super().__init__("http://127.0.0.1:9")

    def backfill(self, backfill_id: str) -> BackfillState:
        self.looks += 1
        if self.looks in self.away:
            return DagsterClient.backfill(self, backfill_id)
        return BackfillState(backfill_id, "REQUESTED" if self.looks < max(self.away) else "COMPLETED", "", {})


def test_a_wait_ends_as_failed_when_the_webserver_is_put_up_anew() -> None:
    restarted, told = Restarted({1, 2, 4}), list[str]()
    states = wait.wait(restarted, {"north": "b1"}, lambda _: None, lambda e: told.append(e.what), sleep=lambda _: None)
    assert states["north"].status == "COMPLETED"
    assert told == ["Dagster's webserver does not answer"] * 3


def test_a_wait_for_a_webserver_that_never_comes_back_ends() -> None:
    gone = Restarted(set(range(1, 1000)))
    with pytest.raises(PipelineError, match="does not answer"):
        wait.wait(gone, {"north": "b1"}, lambda _: None, away_seconds=0.02, sleep=lambda _: time.sleep(0.01))
