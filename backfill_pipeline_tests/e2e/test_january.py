"""January's short form as an operator starts it: days that stall and deadlock are green in the end, and nobody lent a hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE = 1500


@pytest.mark.soak  # 6 minutes on 2 cores
@pytest.mark.timeout(DEADLINE + 60)
@pytest.mark.parametrize("variant", [(), ("--kills",)])
def test_no_day_is_left_to_a_person_by_stalls_deadlocks_and_kills(tmp_path: Path, variant: tuple[str, ...]) -> None:
    results = tmp_path / "january.json"
    places = ("--folder", str(tmp_path / "stack"), "--results", str(results))
    command = [sys.executable, "-m", "benchmarks.january", "--short", *variant, *places]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(results.read_text())
    assert (found["hands"], found["doubled"], found["wrong"]) == (0, 0, [])
    assert {"heartbeat time-out", "deadlock"} <= found["retries_by_cause"].keys()
    assert bool(found["kills"]) is bool(variant)
