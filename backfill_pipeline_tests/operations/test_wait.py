"""A wait for backfills of a Dagster made by hand: it ends, and outlives a webserver that is put up anew."""

import time
from dataclasses import dataclass

import pytest

from backfill_pipeline.clients.dagster import BackfillState, DagsterClient
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.operations import wait


class Endless(DagsterClient):
    """Its backfill is never over."""

    def backfill(self, backfill_id: str) -> BackfillState:
        return BackfillState(backfill_id, "REQUESTED", "", {})


def test_a_wait_goes_on_past_its_deadline() -> None:
    endless = Endless("http://127.0.0.1:9")
    with pytest.raises(PipelineError, match="not over"):
        wait.wait(endless, {"north": "b1"}, lambda _: None, deadline_seconds=0.01, sleep=lambda _: None)


@dataclass
class Restarted(Endless):
    """Nobody listens there at these looks: then the backfill is over."""

    away: set[int]
    looks: int = 0

    def __post_init__(self) -> None:
        super().__init__("http://127.0.0.1:9")

    def backfill(self, backfill_id: str) -> BackfillState:
        self.looks += 1
        if self.looks in self.away:
            return DagsterClient.backfill(self, backfill_id)
        return BackfillState(backfill_id, "REQUESTED" if self.looks < max(self.away) else "COMPLETED", "", {})


def test_a_wait_ends_as_failed_when_the_webserver_is_put_up_anew() -> None:
    restarted, told = Restarted({1, 2, 4}), list[str]()
    states = wait.wait(restarted, {"north": "b1"}, lambda _: None, lambda e: told.append(e.what), sleep=lambda _: None)
    assert states["north"].status == "COMPLETED"
    assert told == ["Dagster's webserver does not answer"] * 3


def test_a_wait_for_a_webserver_that_never_comes_back_ends() -> None:
    gone = Restarted(set(range(1, 1000)))
    with pytest.raises(PipelineError, match="does not answer"):
        wait.wait(gone, {"north": "b1"}, lambda _: None, away_seconds=0.02, sleep=lambda _: time.sleep(0.01))
