from pathlib import Path

import pytest

from backfill_pipeline.stack.background import start_in_background, stop_in_background
from backfill_pipeline.stack.state import last_state, running_stack
from backfill_pipeline.stack.watch import StartFailed
from backfill_pipeline_tests.stack.foreground import left_of


def test_a_stack_that_was_to_be_kept_is_found_again_and_ends_when_asked(tmp_path: Path) -> None:
    said: list[str] = []
    try:
        state = start_in_background(tmp_path, parts={"postgres"}, progress=said.append)
        assert any(line.startswith("postgres: ready") for line in said)
        assert start_in_background(tmp_path, parts={"postgres"}) == state == running_stack(tmp_path)
    finally:
        assert stop_in_background(tmp_path)
    assert left_of(state) == []
    assert not stop_in_background(tmp_path)


def test_a_start_that_failed_in_the_background_says_why_here(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"clusters": [{"name": "north", "customers": [{"id": "acme"}], "postgress": {}}]}')
    with pytest.raises(StartFailed) as error:
        start_in_background(tmp_path, config=config, parts={"postgres"}, progress=lambda line: None)
    assert "postgress: unknown key" in str(error.value)
    state = last_state(tmp_path)
    assert state is None
