"""What runs now is not told as healthier than it is."""

from datetime import UTC, date, datetime, timedelta

import pytest

from backfill_pipeline.domain.retries import Of, Policy
from backfill_pipeline.domain.status import Chosen, Held, LedgerView, OpenExecution, Signals, Status
from backfill_pipeline.domain.summary import summed
from backfill_pipeline.domain.windows import Window

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = date(2026, 1, 1)
ACME = Of("north", "acme", "conversations")


def execution(attempt: str, begun: timedelta, beat: timedelta | None = None) -> OpenExecution:
    last = None if beat is None else NOW - beat
    return OpenExecution(attempt, "T", NOW - begun, "acme", attempt_id=attempt, last_heartbeat=last)


SILENT = execution("silent", 3 * HOUR)
BEATING = execution("beating", 5 * HOUR, timedelta(seconds=5))


def seen(*executions: OpenExecution, followed: bool = True) -> Status:
    held = tuple(Held(ACME, (DAY,), e.attempt_id or "", "run", e.started_at) for e in executions if followed)
    chosen = Chosen("north", (ACME,), Window(DAY, DAY + timedelta(days=1)), 2, {"acme": 10})
    attempts = {e.attempt_id: followed for e in executions if e.attempt_id}
    policy = Policy(5, timedelta(seconds=60))
    return summed(Signals(NOW, policy, (chosen,), LedgerView(held=held), None, {"north": executions}, attempts))


@pytest.mark.parametrize("executions", [(SILENT, BEATING), (BEATING, SILENT), (SILENT,)])
def test_one_that_beats_hides_the_one_that_never_did(executions: tuple[OpenExecution, ...]) -> None:
    found = seen(*executions)
    assert (found.clusters[0].heartbeat_age_seconds, found.clusters[0].never_beat) == (3 * 3600.0, 1)
    ages = {r.attempt_id: (r.heartbeat_age_seconds, r.never_beat) for r in found.running}
    assert ages["silent"] == (3 * 3600.0, 1)
    assert ages.get("beating", (5.0, 0)) == (5.0, 0)


def test_an_execution_that_beats_counts_from_its_start() -> None:
    found = seen(BEATING)
    assert (found.clusters[0].heartbeat_age_seconds, found.clusters[0].never_beat) == (5.0, 0)


def test_a_stranger_that_never_beat_has_no_age() -> None:
    assert [(s.heartbeat_age_seconds, s.never_beat) for s in seen(SILENT, followed=False).strangers] == [
        (10_800.0, True)
    ]


def test_a_cluster_without_executions_is_silent() -> None:
    [row] = seen().clusters
    assert (row.heartbeat_age_seconds, row.never_beat) == (None, 0)
