"""What a person types in a terminal."""

import subprocess
import sys

from backfill_pipeline_tests.e2e.ui import Ui


def backfill(ui: Ui, *arguments: str) -> str:
    """What the command printed; it ended with 0."""
    done = asked(ui, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked(ui: Ui, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = typed(ui, *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)


def typed(ui: Ui, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "backfill_pipeline.cli", *arguments, "--folder", str(ui.live.state.folder)]
