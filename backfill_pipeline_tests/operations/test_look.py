"""The commands that only look, as an operator types them."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml

from backfill_pipeline_tests.live import Live

SCHEMA = Path(__file__).with_name("status.schema.json")
JANUARY = ("--start-time", "2026-01-01", "--end-time", "2026-01-10")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "backfill_pipeline.cli", *arguments]


def run(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    around = {k: v for k, v in os.environ.items() if k not in ("BACKFILL_CONFIG", "BACKFILL_DAGSTER")}
    return subprocess.run(command(*arguments), env=around | env, capture_output=True, text=True, timeout=120)


BAD = [
    ("--cluster", "nowhere"),
    ("--customer", "nobody*"),
    ("--dataset", "dreams"),
    ("--start-time", "2026-01-10", "--end-time", "2026-01-01"),
    ("--start-time", "tomorrow"),
    ("--end-time", "2026-02-30"),
]
BAD_PLANS = [*BAD, ("--approve", "everything")]
ALONE = [("status", "--start-time", "2100-01-01", "--end-time", "2100-01-02"), ("status", "--config", "no-such.yaml")]


def plan_of(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Both days are needed; of an option that is given twice the last one counts."""
    return ("plan", *JANUARY, *arguments)


@pytest.mark.parametrize("arguments", [*(("status", *a) for a in BAD), *map(plan_of, BAD_PLANS), *ALONE], ids=" ".join)
def test_bad_input_is_answered_with_something_else(engines: Live, arguments: tuple[str, ...]) -> None:
    config = () if "--config" in arguments else ("--config", str(engines.state.config_path))
    done = run(*arguments, *config)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Next: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("given", [(), JANUARY[:2], JANUARY[2:]], ids=" ".join)
def test_days_that_nobody_named_are_planned(given: tuple[str, ...]) -> None:
    done = run("plan", *given)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_document_that_never_ends_is_promised(engines: Live) -> None:
    done = run("status", "--config", str(engines.state.config_path), "--watch", "--json")
    assert done.returncode == 2


@pytest.mark.parametrize("words", [("status",), ("plan", *JANUARY)], ids=" ".join)
def test_without_a_stack_and_a_configuration_nothing_is_guessed(words: tuple[str, ...], tmp_path: Path) -> None:
    done = run(*words, "--folder", str(tmp_path))
    assert done.returncode == 2
    assert "There is no stack in that folder" in done.stderr


def test_a_narrow_terminal_loses_columns_without_a_word(engines: Live) -> None:
    done = run("status", "--folder", str(engines.state.folder), *JANUARY, COLUMNS="40")
    [header] = [line.split() for line in done.stdout.splitlines() if line.startswith("cluster")]
    assert header[0] == "cluster"
    assert header[-1] == "beat"
    assert len(header) == 13


def test_what_could_not_be_asked_does_not_show_in_the_exit_code(engines: Live) -> None:
    done = run("status", "--folder", str(engines.state.folder), "--json", *JANUARY)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    assert [u["system"] for u in found["unasked"]] == ["Dagster"], found["unasked"]
    assert [c["cluster"] for c in found["clusters"]] == [c.name for c in engines.config.clusters]


def test_the_table_is_broken_by_the_width_of_the_terminal(engines: Live) -> None:
    done = run("status", "--config", str(engines.state.config_path), *JANUARY, COLUMNS="80")
    assert " beat\n" in done.stdout  # the last column
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert all(c.name in done.stdout for c in engines.config.clusters)


def test_who_watches_can_not_leave(engines: Live) -> None:
    arguments = command("status", "--config", str(engines.state.config_path), "--watch", *JANUARY)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        with pytest.raises(subprocess.TimeoutExpired):
            watching.communicate(timeout=9)
        watching.send_signal(signal.SIGINT)
        shown, errors = watching.communicate(timeout=20)
    assert watching.returncode == 1, errors  # nobody knows Dagster's address
    assert "Traceback" not in errors
    assert "Clusters, " in shown


def test_each_look_leaves_a_copy_in_the_scrollback(engines: Live) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    arguments = command("status", "--config", str(engines.state.config_path), "--watch", *JANUARY)
    env = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=env, close_fds=True) as watching:
        os.close(theirs)
        shown = until(ours, lambda text: text.count("Clusters, ") >= 3, seconds=60)
        watching.send_signal(signal.SIGINT)
        shown += until(ours, lambda text: "\x1b[?1049l" in text, seconds=20)
    os.close(ours)
    screens = shown.split("\x1b[?1049h")[1].split("\x1b[?1049l")[0].split("\x1b[H")[1:]
    assert len(screens) >= 3
    assert max(screen.count("\n") for screen in screens) < 24


def until(terminal: int, is_enough: Callable[[str], bool], *, seconds: float) -> str:
    shown, end = "", time.monotonic() + seconds
    while not is_enough(shown):
        assert time.monotonic() < end, shown
        if select.select([terminal], [], [], 1.0)[0]:
            shown += os.read(terminal, 65536).decode(errors="replace")
    return shown


def test_a_plan_is_no_document_where_one_was_asked_for(engines: Live) -> None:
    engines.make_data(size=0.02, days=3)
    days = ("--start-time", "2026-01-01", "--end-time", "2026-01-03", "--customer", "acme")
    where = ("--config", str(engines.state.config_path), *days)
    shown = {how: run("plan", *where, *how) for how in ((), ("--json",), ("--statements",), ("--manifests",))}
    assert {d.returncode for d in shown.values()} == {0}, [d.stderr for d in shown.values()]
    assert [c["cluster"] for c in json.loads(shown["--json",].stdout)["clusters"]] == ["north"]
    lines = shown["--statements",].stdout.splitlines()
    assert all(line.startswith(("-- ", "DELETE FROM ")) for line in lines)
    assert {job["kind"] for job in yaml.safe_load_all(shown["--manifests",].stdout)} == {"Job"}
    assert max(map(len, shown[()].stdout.splitlines())) <= 80
    print(shown[()].stdout)
    assert run("plan", *where, "--statements", "--manifests").returncode == 2
