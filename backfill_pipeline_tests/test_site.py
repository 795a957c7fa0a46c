"""The Dagster that a command talks to works with the ledger that the command writes to."""

import os
import sys
from pathlib import Path

import pytest
import yaml

from backfill_pipeline import cli
from backfill_pipeline.cli.site import site_of
from backfill_pipeline.stack.state import ProcessId, StackState

EXAMPLE = Path("config.example.yaml")
DEMO = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("BACKFILL_")]:
        monkeypatch.delenv(name)
    for name in ("LEDGER_PASSWORD", "NORTH_PG_PASSWORD", "NORTH_CH_PASSWORD"):
        monkeypatch.setenv(name, "-")


@pytest.fixture
def running(tmp_path: Path) -> StackState:
    """A demo's stack that was left running, as far as its file says."""
    state = StackState(
        id="-",
        folder=tmp_path,
        config_path=written(tmp_path / "config.yaml", "127.0.0.1"),
        dagster_home=tmp_path,
        ready=True,
        supervisor=ProcessId.of(os.getpid()),
        dagster_url=DEMO,
    )
    state.write()
    return state


def written(path: Path, ledger: str) -> Path:
    """The example, with its ledger on this host."""
    tree = yaml.safe_load(EXAMPLE.read_text())
    tree["ledger"]["host"] = ledger
    path.write_text(yaml.safe_dump(tree))
    return path


COMMANDS = [
    ("launch", "--start-time", "2026-01-01", "--end-time", "2026-01-01", "--yes"),
    ("pause", "north", "--why", "its disk"),
    ("resume", "north"),
    ("cancel", "--cluster", "north", "--leave-empty", "--yes"),
]


@pytest.mark.parametrize("how", ["option", "environment"])
@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda a: a[0])
def test_productions_ledger_is_told_what_happened_to_the_demos_dagster(
    running: StackState,
    arguments: tuple[str, ...],
    how: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if how == "environment":
        monkeypatch.setenv("BACKFILL_CONFIG", str(EXAMPLE))
    given = ("--config", str(EXAMPLE)) if how == "option" else ()
    monkeypatch.setattr(sys, "argv", ["backfill", *arguments, *given, "--folder", str(running.folder)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert "No address of Dagster is known" in said
    assert "no stack runs that works with this configuration" in said
    assert "give --dagster http://host:port" in said


def test_an_address_that_was_given_is_not_taken(running: StackState) -> None:
    assert site_of(running.folder, EXAMPLE, "http://127.0.0.1:2").dagster == "http://127.0.0.1:2"


def test_a_stack_is_not_found_by_its_own_configuration_or_ledger(running: StackState, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    link = folder / "link.yaml"
    link.symlink_to(running.config_path)
    for config in (running.config_path, link, written(folder / "mine.yaml", "127.0.0.1")):
        assert site_of(running.folder, config, None).dagster == DEMO, config


def test_a_stack_whose_configuration_can_not_be_read_is_taken_for_this_ones(running: StackState) -> None:
    running.config_path.write_text("clusters: [")
    assert site_of(running.folder, EXAMPLE, None).dagster is None
