"""Windows whose runs are killed again and again at places drawn by chance: a thousand in `make soak`, some in `make test`."""

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from backfill_pipeline.domain.plans import Claim
from backfill_pipeline_tests.faults import points
from backfill_pipeline_tests.faults.driver import KillPoint
from backfill_pipeline_tests.faults.windows import LEASE_SECONDS, Small

MOST_DEAD = 3  # runs killed one after the other before one is let through


@pytest.mark.parametrize(
    ("windows", "seed"),
    [(3, 1), pytest.param(int(os.environ.get("SOAK_WINDOWS", "1000")), 2, marks=pytest.mark.soak)],
)
@pytest.mark.timeout(6 * 3600)
def test_no_day_is_lost_or_doubled_however_often_its_runs_are_killed(
    small: Small, tmp_path: Path, windows: int, seed: int
) -> None:
    chance = random.Random(seed)
    for n in range(windows):
        killed_and_redone(small, tmp_path / str(n), chance)
        shutil.rmtree(tmp_path / str(n))


def killed_and_redone(small: Small, folder: Path, chance: random.Random) -> None:
    """Some dead runs one after the other, and then one that nobody kills."""
    small.damaged()
    folder.mkdir(parents=True)
    places = chance.choices(points.ALL, k=chance.randint(1, MOST_DEAD))
    print(f"killed after {', '.join(map(str, places))}")
    dead = [killed(small, folder / f"dead-{n}", point) for n, point in enumerate(places)]
    heir = small.claim()
    small.assert_right(small.run(heir, folder / "heir"))
    small.assert_nothing_goes_on(*dead, heir)


def killed(small: Small, folder: Path, point: KillPoint) -> Claim:
    """A run that was killed there, and whose lease has ended since."""
    claim = small.killed(folder, point)
    time.sleep(LEASE_SECONDS + 0.2)
    return claim
