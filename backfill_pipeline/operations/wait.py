"""Waiting until backfills are over: all of them asked at once, so that what changes in any of them is told."""

import time
from collections.abc import Callable, Iterator, Mapping

from backfill_pipeline.clients.dagster import BackfillState, DagsterClient
from backfill_pipeline.domain.errors import PipelineError

LONGEST_SECONDS = 30 * 24 * 3600.0
POLL_SECONDS = 5.0
AWAY_SECONDS = 600.0  # a webserver is put up anew while a backfill of hours goes on
States = Mapping[str, BackfillState]


def wait(
    client: DagsterClient,
    backfills: Mapping[str, str],
    on_poll: Callable[[States], None],
    on_away: Callable[[PipelineError], None] = lambda _: None,
    *,
    deadline_seconds: float = LONGEST_SECONDS,
    away_seconds: float = AWAY_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> States:
    """The backfills once all are over, by the cluster that each is of.

    Args:
        on_away: told of every look that nobody answered.

    Raises:
        PipelineError: RETRY, one is not over at the deadline; UNREACHABLE, nobody answered for away_seconds. They go on.
    """
    end = time.monotonic() + deadline_seconds
    looks = _looks(client, backfills, on_away, away_seconds, sleep)
    while True:
        states = next(looks)
        on_poll(states)
        going = [s for s in states.values() if not s.is_over]
        if not going:
            return states
        if time.monotonic() > end:
            raise client.not_over(going[0], deadline_seconds)


def _looks(
    client: DagsterClient,
    backfills: Mapping[str, str],
    on_away: Callable[[PipelineError], None],
    away_seconds: float,
    sleep: Callable[[float], None],
) -> Iterator[States]:
    """Those that were answered, for ever."""
    states, answered = dict[str, BackfillState](), time.monotonic()
    while True:
        left = {c: b for c, b in backfills.items() if c not in states or not states[c].is_over}
        try:
            states |= {c: client.backfill(b) for c, b in left.items()}
        except PipelineError as error:
            if not error.may_pass or time.monotonic() - answered > away_seconds:
                raise
            on_away(error)
        else:
            answered = time.monotonic()
            yield states
        sleep(POLL_SECONDS)
