import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import typer

from backfill_pipeline import cli
from backfill_pipeline.cli.options import begun
from backfill_pipeline.cli.wait import waited
from backfill_pipeline.cli.work import taken
from backfill_pipeline.clients.dagster import BackfillState, DagsterClient
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.guards import Approval
from backfill_pipeline.domain.retries import Of
from backfill_pipeline.operations.survey import Survey
from backfill_pipeline.stack.state import StackState

SLOW = {"dagster", "pandas", "numpy", "clickhouse_connect", "temporalio", "pyarrow", "psycopg", "chdb", "sqlalchemy"}
HELP_AND_MODULES = """
import sys
from backfill_pipeline.cli import main
sys.argv = ["backfill", *sys.argv[1:], "--help"]
try:
    main()
finally:
    print("MODULES", *{name.split(".")[0] for name in sys.modules})
"""


def commands(group: Any = None, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of `backfill` with its words."""
    group = group or typer.main.get_command(cli.app)
    for name, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


COMMANDS = dict(commands())
EXAMPLE = ("--config", "config.example.yaml")
NOWHERE = "http://127.0.0.1:1"
NO_ADDRESSES = (
    "here",
    "http://[::1",
    "http://127.0.0.1:abc",
    "http://127.0.0.1:99999",
    "http://127.0.0.1:0",
    "http://local host:1",
)
MONTH = ("--start-time", "2026-01-01", "--end-time", "2026-01-31")
REVERSED = [("2026-01-02", "2026-01-01"), ("2026-13-01", "2026-01-01"), ("", "")]


def run(*arguments: str, code: str | None = None, piped: str | None = None) -> "subprocess.CompletedProcess[str]":
    how = [sys.executable, *(["-c", code] if code else ["-m", "backfill_pipeline.cli"]), *arguments]
    env = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(how, env=env, input=piped, capture_output=True, text=True, timeout=60)


def test_the_commands_that_the_readme_names_are_there() -> None:
    assert {("config", "check"), ("stack",), ("demo",)} <= set(COMMANDS)


def test_the_guards_that_can_be_approved_are_named_where_one_asks() -> None:
    [option] = [p for p in COMMANDS["launch",].params if p.name == "approve"]
    assert [g for g in Approval if g not in str(getattr(option, "help", ""))] == []


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_nobody_has_to_guess_how_a_command_is_called(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    assert command.epilog, "no example"
    assert f"backfill {' '.join(words)}" in command.epilog.split("Example", 1)[1]
    assert command.help
    assert [p.name for p in command.params if not p.help] == []


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_example_of_every_command_is_one_that_it_would_take(words: tuple[str, ...]) -> None:
    _, *examples = (COMMANDS[words].epilog or "").split("\n\n")
    for example in examples:
        arguments = shlex.split(example)[1 + len(words) :]
        COMMANDS[words].make_context("backfill", arguments)  # a wrong option or value raises


@pytest.mark.parametrize("words", [(), ("config",), *COMMANDS], ids=" ".join)
def test_help_does_not_wait_for_the_import_of_anything_slow(words: tuple[str, ...]) -> None:
    done = run(*words, code=HELP_AND_MODULES)
    said, modules = done.stdout.split("MODULES")
    assert "Usage:" in said
    assert not SLOW & set(modules.split())
    assert done.returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("demo", "--no-such-option"),
        ("demo", "--size", "0"),
        ("demo", "--seed", "x"),
        ("config", "check"),
        ("config", "check", "no-such-file.yaml"),
        ("stack", "--config", "no-such-file.yaml"),
        *(("launch", "--start-time", a, "--end-time", b, *EXAMPLE) for a, b in REVERSED),
        ("launch", *MONTH, "--cluster", "nowhere", *EXAMPLE),
        ("launch", *MONTH, "--customer", "nobody*", *EXAMPLE),
        ("launch", *MONTH, "--dataset", "nothing", *EXAMPLE),
        ("launch", *MONTH, *EXAMPLE),  # no Dagster is known
        *(("launch", *MONTH, "--dagster", address, *EXAMPLE) for address in NO_ADDRESSES),
        *(("status", "--dagster", address, *EXAMPLE) for address in NO_ADDRESSES),
        ("launch", *MONTH),  # no configuration is known
        ("launch", "--start-time", "2026-01-01", "--end-time", "2100-01-01", "--dagster", NOWHERE, *EXAMPLE),
        ("launch", "--start-time", "1999-01-01", "--end-time", "2026-01-01", "--dagster", NOWHERE, *EXAMPLE),
        ("launch", "--start-time", "2026-01-01", "--end-time", "9999-12-31", *EXAMPLE),
        *(("plan", "--start-time", "2026-01-01", "--end-time", day, *EXAMPLE) for day in ("2100-01-01", "9999-12-31")),
        ("plan", "--start-time", "1999-01-01", "--end-time", "2026-01-01", *EXAMPLE),
        ("launch", *MONTH, "--dry-run", *EXAMPLE),  # no Dagster is known
        ("retry", "acme", "2100-01-01", *EXAMPLE),
        ("reset", "acme", "1999-12-31", *EXAMPLE),
        ("reset", "acme", "2100-01-01", *EXAMPLE),
        ("reset", "acme", "9999-12-31", *EXAMPLE),
        ("reset", "acme", "2026-01-05..2026-01-01", *EXAMPLE),
        ("reset", "acme", "2026-01-01..", *EXAMPLE),
        ("cancel", "--finish", "--leave-empty", *EXAMPLE),
        ("retry", "nobody", *EXAMPLE),
        ("retry", "", *EXAMPLE, "--dagster", NOWHERE),  # a variable that was not set: not everybody
        ("retry", "acme", "", *EXAMPLE, "--dagster", NOWHERE),
        ("retry", "acme", *EXAMPLE),  # no Dagster is known
        ("reset", "", "2026-01-05", *EXAMPLE),
        ("reset", "acme", "", *EXAMPLE),
        *(
            (*command, option, "", *EXAMPLE, "--dagster", NOWHERE)
            for command in (("launch", *MONTH), ("cancel",), ("status",), ("retry",))
            for option in ("--cluster", "--dataset", *(() if command == ("retry",) else ("--customer",)))
        ),
        *((*command, "--approve", "", *EXAMPLE, "--dagster", NOWHERE) for command in (("launch", *MONTH), ("retry",))),
        ("retry", "acme", "2026-02-30", *EXAMPLE),
        ("reset", "acme", "yesterday", *EXAMPLE),
        ("reset", "nobody", "2026-01-05", *EXAMPLE),
        ("cancel", "--cluster", "nowhere", *EXAMPLE),
        ("pause", "nowhere", "--why", "a reason", *EXAMPLE),
        ("pause", "north", *EXAMPLE),
        ("pause", "north", "--why", "", "--dagster", NOWHERE, *EXAMPLE),
        ("resume", "nowhere", *EXAMPLE),
    ],
)
def test_bad_input_ends_with_2_and_touches_nothing(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [n for n in os.environ if n.startswith("BACKFILL_")]:
        monkeypatch.delenv(name)
    for name in ("LEDGER_PASSWORD", "NORTH_PG_PASSWORD", "NORTH_CH_PASSWORD"):
        monkeypatch.setenv(name, "-")
    folder = () if arguments[0] in ("config", "no-such-command") else ("--folder", str(tmp_path / "stack"))
    monkeypatch.setattr(sys, "argv", ["backfill", *arguments, *folder])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert said.strip()
    assert "Traceback" not in said
    assert not (tmp_path / "stack" / "stack.json").exists()


@pytest.mark.parametrize("words", [w for w, c in COMMANDS.items() if "why" in {p.name for p in c.params}], ids=" ".join)
def test_bytes_that_are_no_text_are_sent_to_dagster_where_they_break_its_pages(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the shell gives them: Python keeps each byte that is no UTF-8 as half of a surrogate pair."""
    given = {"launch": MONTH, "reset": ("acme", "2026-01-05"), "pause": ("north",)}.get(words[0], ())
    why = ("--why", os.fsdecode(b"its \xff\xfe disk"))
    monkeypatch.setattr(sys, "argv", ["backfill", *words, *given, *why, *EXAMPLE])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "That is no text; nothing was sent. Where: 'its \\udcff\\udcfe disk'. Why: " in capsys.readouterr().err


def test_a_folder_that_can_not_be_made_is_told_in_a_sentence() -> None:
    done = run("stack", "--folder", "/proc/nowhere")
    assert done.returncode == 2
    assert "The stack's folder can't be used. Where: /proc/nowhere. Why:" in done.stderr
    assert "Traceback" not in done.stderr


NOBODY_LISTENS = ("--dagster", NOWHERE)
AWAY = [
    ("launch", *MONTH, "--yes", *NOBODY_LISTENS),
    ("launch", *MONTH, "--dry-run", *NOBODY_LISTENS),
    ("cancel", "--cluster", "north", "--leave-empty", "--yes", *NOBODY_LISTENS),
    ("pause", "north", "--why", "its disk", *NOBODY_LISTENS),
    ("resume", "north", *NOBODY_LISTENS),
    ("status", *MONTH, *NOBODY_LISTENS),
    ("retry", "--yes", *NOBODY_LISTENS),
    ("reset", "acme", "2026-01-05", "--yes"),
    ("plan", "--start-time", "2026-01-01", "--end-time", "2026-01-02"),
]


@pytest.mark.parametrize("arguments", AWAY, ids=lambda a: " ".join(a[:1] + a[5:6]))
def test_a_command_without_a_server_ends_with_another_code_than_2_or_with_a_traceback(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("LEDGER_PASSWORD", "NORTH_PG_PASSWORD", "NORTH_CH_PASSWORD"):
        monkeypatch.setenv(name, "-")
    away = tmp_path / "away.yaml"
    local = re.sub(r"[a-z0-9.-]+\.internal", "127.0.0.1", Path("config.example.yaml").read_text())
    away.write_text(re.sub(r"(port: |127\.0\.0\.1:)\d+", r"\g<1>9", local))
    monkeypatch.setattr(sys, "argv", ["backfill", *arguments, "--config", str(away), "--folder", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = "".join(capsys.readouterr())
    assert ended.value.code == 2, said
    assert "Traceback" not in said
    assert re.search(r"nobody\s+listens|does\s+not\s+answer|refused", said), said


@pytest.mark.parametrize("words", [("status",), ("plan",)], ids=" ".join)
def test_an_example_is_broken_in_two_by_a_terminal_of_80_columns(words: tuple[str, ...]) -> None:
    assert [x for x in (COMMANDS[words].epilog or "").split("\n\n") if len(x) > 78] == []


@pytest.mark.parametrize("kind", Kind)
def test_bad_input_and_an_address_without_a_server_are_told_apart_from_what_failed(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise PipelineError(
            "It went wrong", where="north", why="a reason", next_step="mend it", kind=kind, code="57P01"
        )

    monkeypatch.setattr(cli, "app", fails)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == (2 if kind in (Kind.STOP, Kind.REFUSED, Kind.UNREACHABLE) else 1)
    assert capsys.readouterr().err == "It went wrong [57P01]. Where: north. Why: a reason. Next: mend it.\n"


@pytest.mark.parametrize(
    "address", ["http://user:hunter2@127.0.0.1:1", "user:hunter2@dagster:3000", "http://:hunter2@[::1"]
)
@pytest.mark.parametrize("how", ["option", "environment"])
@pytest.mark.parametrize("command", ["launch", "status"])
def test_a_password_in_dagsters_address_is_printed(
    address: str, how: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [command, *MONTH, *EXAMPLE]
    if how == "option":
        arguments += ["--dagster", address]
    else:
        monkeypatch.setenv("BACKFILL_DAGSTER", address)
    for name in ("LEDGER_PASSWORD", "NORTH_PG_PASSWORD", "NORTH_CH_PASSWORD"):
        monkeypatch.setenv(name, "-")
    monkeypatch.setattr(sys, "argv", ["backfill", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = "".join(capsys.readouterr())
    assert ended.value.code == 2, said
    assert "Dagster's address takes no login" in said
    assert "hunter2" not in said


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command says that ends with 2."""
    for name in ("LEDGER_PASSWORD", "NORTH_PG_PASSWORD", "NORTH_CH_PASSWORD"):
        monkeypatch.setenv(name, "-")
    monkeypatch.setattr(sys, "argv", ["backfill", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    return said


BACKWARDS = ("--start-time", "2026-01-10", "--end-time", "2026-01-01")


@pytest.mark.parametrize(
    "arguments",
    [("launch", *BACKWARDS), ("plan", *BACKWARDS), ("status", *BACKWARDS), ("retry", "acme", "2026-01-10..2026-01-01")],
    ids=lambda a: a[0],
)
def test_a_reversed_range_is_told_as_it_was_given(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(monkeypatch, capsys, *arguments, *EXAMPLE)
    assert "The range is reversed. Where: 2026-01-10 to 2026-01-01. Why: the last day is before the first." in said


def test_a_folder_without_a_stack_is_told_as_one_whose_stack_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BACKFILL_CONFIG", raising=False)
    never = refused(monkeypatch, capsys, "status", "--folder", str(tmp_path / "nowhere"))
    assert "There is no stack in that folder" in never
    state = StackState(id="-", folder=tmp_path, config_path=tmp_path / "c.yaml", dagster_home=tmp_path)
    state.write()
    stopped = refused(monkeypatch, capsys, "status", "--folder", str(tmp_path))
    assert "No stack runs there" in stopped
    assert "its stack.json says so" in stopped
    for said in (never, stopped):
        assert "backfill demo --keep" in said
        assert "--config, or BACKFILL_CONFIG" in said


def test_a_dry_run_without_dagster_shows_another_plan_than_the_launch_would_have(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("LEDGER_PASSWORD", "NORTH_PG_PASSWORD", "NORTH_CH_PASSWORD"):
        monkeypatch.setenv(name, "-")
    monkeypatch.setattr(sys, "argv", ["backfill", "launch", *MONTH, "--dry-run", "--dagster", NOWHERE, *EXAMPLE])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "Dagster's webserver does not answer" in capsys.readouterr().err


@pytest.mark.parametrize("kind", Kind)
def test_what_goes_away_in_the_middle_of_a_command_is_told_as_bad_input(
    kind: Kind, capsys: pytest.CaptureFixture[str]
) -> None:
    error = PipelineError("It went", where="north", why="a reason", next_step="look", kind=kind)
    with pytest.raises(typer.Exit if kind is Kind.UNREACHABLE else PipelineError) as ended, begun():
        raise error
    if isinstance(ended.value, typer.Exit):
        assert ended.value.exit_code == 1
        assert "It went" in capsys.readouterr().err


OF = Of("north", "acme", "conversations")


def test_days_that_somebody_is_at_work_on_are_told_as_done_again() -> None:
    days = [date(2026, 1, d) for d in (1, 2, 3)]
    when = datetime(2026, 2, 1, 12, tzinfo=UTC)
    found = Survey({OF: days}, {(OF, d): "run r (STARTED)" for d in days[:2]}, {(OF, d): when for d in days})
    who = "conversations of acme on north"
    assert list(taken(found, "done again")) == [
        f"at work: {who}: run r (STARTED)",
        f"done: {who}: 1 day, the last at 2026-02-01 12:00 UTC: done again",
    ]


class Interrupted(DagsterClient):
    """Whoever waits for its backfills presses Ctrl-C."""

    def backfill(self, backfill_id: str) -> BackfillState:
        raise KeyboardInterrupt


def test_whoever_stops_waiting_thinks_that_nothing_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        waited(Interrupted("http://127.0.0.1:9"), {"north": "b1"})
    said = capsys.readouterr().err
    assert "b1; they go on" in said
    assert "backfill cancel" in said
