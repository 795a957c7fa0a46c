"""What a command reads and writes where there is no terminal: pipes, files, nothing at all."""

import os
import shlex
import subprocess
import sys

import pytest
import typer

from backfill_pipeline.cli.options import confirm
from backfill_pipeline_tests.test_cli import run


def test_a_question_that_nobody_can_answer_ends_with_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whose input is closed has none, in Python too."""
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(typer.Abort):
        confirm(False, "Delete?")
    assert "give --yes" in capsys.readouterr().err
    confirm(True, "Delete?")


SAYING = """
import sys
from backfill_pipeline import cli
@cli.app.command()
def say(size: int) -> None:
    print("x" * size)
    sys.exit(0)
@cli.app.command()
def fail() -> None:
    raise OSError(28, "No space left on device")
cli.main()
"""


@pytest.mark.parametrize("size", [1, 10_000, 1_000_000])
def test_output_that_finds_no_room_ends_with_a_traceback_or_as_if_it_were_there(size: int) -> None:
    """One is written when the command prints it, one when the command is over."""
    command = [sys.executable, "-c", SAYING, "say", str(size)]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "The output can't be written. Where: standard output. Why: No space left on device. "
        "Next: send it elsewhere, or make room."
    ]


def test_a_file_of_the_commands_own_that_finds_no_room_is_told_as_its_output() -> None:
    done = run("fail", code=SAYING)
    assert done.returncode == 1
    assert "OSError: [Errno 28]" in done.stderr
    assert "The output" not in done.stderr


def test_without_any_output_a_command_ends_with_a_traceback() -> None:
    command = f"exec {shlex.quote(sys.executable)} -m backfill_pipeline.cli --help >&-"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_went_away_is_told_as_a_full_disk() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", SAYING, "say", "1000000"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


ASKED = "from backfill_pipeline.cli.options import confirm; confirm(False, 'Delete?'); print('agreed')"
ASKING = f"import typer\ndef ask() -> None:\n    {ASKED}\ntyper.run(ask)"


@pytest.mark.parametrize(
    ("piped", "code", "hint"),
    [("", 1, True), ("what?\n", 1, True), ("n\n", 1, False), ("\n", 1, False), ("y\n", 0, False), ("yes\n", 0, False)],
)
def test_a_script_is_not_told_what_it_lacks_or_its_answer_is_not_taken(piped: str, code: int, hint: bool) -> None:
    done = run(code=ASKING, piped=piped)
    assert (done.returncode, "agreed" in done.stdout) == (code, code == 0), done.stderr
    assert ("give --yes" in done.stderr) is hint
    assert ("Aborted." in done.stderr) is bool(code)
