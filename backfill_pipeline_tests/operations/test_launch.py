"""`backfill launch` with a Dagster made by hand and the real ledger: a dry run is what the launch does."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from backfill_pipeline import cli
from backfill_pipeline.cli import site
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.pauses import end_pause, write_pause
from backfill_pipeline_tests.live import Live
from backfill_pipeline_tests.operations.past import Past, config_of, window

MONTH = ("--start-time", "2026-01-01", "--end-time", "2026-01-31")
PAUSED = "nothing starts until `backfill resume north`"
Said = Callable[..., tuple[int, str]]


@dataclass
class Idle:
    """A Dagster in which nothing waits or works. launched: asset -> its windows."""

    launched: dict[Sequence[str], Sequence[Window]] = field(default_factory=dict)

    def unfinished_runs(self) -> tuple[()]:
        return ()

    def unfinished_backfills(self) -> tuple[()]:
        return ()

    def launch_days(self, days: Mapping[Sequence[str], Sequence[Window]], **_: object) -> str:
        self.launched = dict(days)
        return "b1"


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
