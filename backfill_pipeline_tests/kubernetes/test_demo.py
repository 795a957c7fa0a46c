"""The demo with its Jobs made by the API server: launcher, rights, Secret, node and pipeline in one chain."""

import subprocess
import sys
from pathlib import Path

LONGEST_SECONDS = 700


def test_the_demo_ends_well_when_kubernetes_runs_its_jobs(tmp_path: Path) -> None:
    """A small one: what is proved is the chain, and a day that does not match ends it with 1."""
    command = ("demo", "--launcher", "kubernetes", "--size", "0.05", "--folder", str(tmp_path / "local"))
    done = subprocess.run(
        [str(Path(sys.executable).with_name("backfill")), *command],
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert done.stdout.count("match 60") == 3, done.stdout[-3000:]
