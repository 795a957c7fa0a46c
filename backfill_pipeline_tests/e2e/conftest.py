"""The whole pipeline with Dagster's own daemon, one per session. Its sensor and schedule rest until a test wants them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill_pipeline.stack.supervisor import Stack
from backfill_pipeline_tests.e2e.ui import Ui
from backfill_pipeline_tests.live import live


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    folder = Path(tmp_path_factory.mktemp("pipeline"))
    with Stack(folder, config=Path(__file__).with_name("pipeline.yaml")) as state:
        ui = Ui(live("pipeline", state))
        ui.stop_sensor("retry_failed_days")
        ui.stop_schedule("verify_last_days")
        yield ui
