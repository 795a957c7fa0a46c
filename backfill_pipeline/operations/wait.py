"""Waiting until backfills are over: all of them asked at once, so that what changes in any of them is told."""

import time
from collections.abc import Callable, Mapping

from backfill_pipeline.clients.dagster import BackfillState, DagsterClient

LONGEST_SECONDS = 30 * 24 * 3600.0
POLL_SECONDS = 5.0
States = Mapping[str, BackfillState]


def wait(
    client: DagsterClient,
    backfills: Mapping[str, str],
    on_poll: Callable[[States], None],
    *,
    deadline_seconds: float = LONGEST_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> States:
    """The backfills once all are over, by the cluster that each is of.

    Raises:
        PipelineError: RETRY, one is not over at the deadline; it goes on.
    """
    end, states = time.monotonic() + deadline_seconds, dict[str, BackfillState]()
    while True:
        left = {c: b for c, b in backfills.items() if c not in states or not states[c].is_over}
        states |= {c: client.backfill(b) for c, b in left.items()}
        on_poll(states)
        going = [s for s in states.values() if not s.is_over]
        if not going:
            return states
        if time.monotonic() > end:
            raise client.not_over(going[0], deadline_seconds)
        sleep(POLL_SECONDS)
