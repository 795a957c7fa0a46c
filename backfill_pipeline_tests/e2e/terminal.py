"""What a person types in a terminal."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from backfill_pipeline.defs import tags
from backfill_pipeline_tests.e2e.ui import Ui, eventually


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


@contextmanager
def nothing_starts(ui: Ui, cluster: str, *, why: str) -> Iterator[None]:
    """Until it is resumed; at the end in any case, and with nothing left at work: the next tests have the same stack."""
    backfill(ui, "pause", cluster, "--why", why)
    try:
        yield
    finally:
        backfill(ui, "resume", cluster)
        eventually("the end of all backfills", lambda: not ui.client.unfinished_backfills())


def asked_for(ui: Ui) -> list[dg.DagsterRun]:
    """Runs of days that a person gave back to the retries."""
    return [r for r in ui.runs(**{tags.RETRY: "0"}) if r.tags[tags.RETRY_OF].startswith("asked-")]
