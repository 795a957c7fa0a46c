"""Clusters on which nothing may start: paused by a person, or stopped because most of their windows failed.

The pool in Dagster holds back what its daemon starts. The ledger says who did it and why, and every run asks it before its
delete: one that was launched in process, or after somebody changed the pool, waits there. The pool is always first and the
ledger last: whatever ends in between, a cluster is never told as paused while runs start, and a resume that is half done is
still told as a pause, so somebody repeats it.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from backfill_pipeline.domain.errors import PipelineError, Refused
from backfill_pipeline.domain.naming import cluster_pool
from backfill_pipeline.domain.texts import one_line
from backfill_pipeline.stores.ledger import Ledger

LOCK_SECONDS = 90  # longer than Dagster is waited for by whoever holds it

SetSlots = Callable[[str, int], object]
"""Gives a pool of Dagster's so many slots; with 0 nothing starts."""


@dataclass(frozen=True)
class Pause:
    """resumed_at: None while it is in force; what failed before counts no more."""

    cluster: str
    is_stopped: bool
    why: str
    by_whom: str
    since: datetime
    resumed_at: datetime | None

    @property
    def in_force(self) -> bool:
        return self.resumed_at is None

    def __str__(self) -> str:
        """What whoever launches there has to know."""
        how, since = "stopped" if self.is_stopped else "paused", self.since.astimezone(UTC)
        return (
            f"{self.cluster} is {how} by {self.by_whom} since {since:%Y-%m-%d %H:%M} UTC: {self.why}; "
            f"nothing starts until `backfill resume {self.cluster}`"
        )


def read_pauses(ledger: Ledger) -> Mapping[str, Pause]:
    """Cluster -> its last pause, also one that is over."""
    with ledger.transaction() as connection:
        rows = connection.execute(
            "SELECT cluster, is_stopped, why, by_whom, since, resumed_at FROM ledger.pauses"
        ).fetchall()
    return {row[0]: Pause(*row) for row in rows}


def hold(
    set_slots: SetSlots,
    ledger: Ledger,
    cluster: str,
    *,
    why: str,
    by_whom: str,
    is_stopped: bool = False,
    lock_seconds: int | None = None,
) -> Pause | None:
    """Nothing more starts there, whoever launches it; what runs goes on.

    Returns the pause or stop of somebody else, or for another reason, that is in force already: it stays, and this reason
    is kept nowhere. None, the pause is this one.

    Raises:
        Refused: no reason is given.
        PipelineError: Dagster or the ledger is away; it says what is half done.
    """
    why = one_line(why)
    if not why:
        raise Refused(
            "A pause needs a reason",
            where=cluster,
            why="whoever wonders why nothing starts reads it",
            next_step=f"backfill pause {cluster} --why 'its disk is being changed'",
        )
    again = f"backfill pause {cluster} --why {shlex.quote(why)}"
    with _one_at_a_time(ledger, cluster, again, lock_seconds):
        with _told(f"It is not sure that {cluster} is paused", again):
            set_slots(cluster_pool(cluster), 0)
        with _told(f"Nothing more starts on {cluster}, but `backfill status` does not say that it is paused", again):
            write_pause(ledger, cluster, why=why, by_whom=by_whom, is_stopped=is_stopped)
            kept = read_pauses(ledger)[cluster]
    return None if (kept.why, kept.by_whom) == (why, by_whom) else kept


def release(set_slots: SetSlots, ledger: Ledger, cluster: str, slots: int) -> Pause | None:
    """The pause or stop that this ended; None if there was none. The pool gets its slots in any case.

    Raises:
        PipelineError: Dagster or the ledger is away; it says what is half done.
    """
    again = f"backfill resume {cluster}"
    with _one_at_a_time(ledger, cluster, again):
        pause = read_pauses(ledger).get(cluster)
        with _told(f"It is not sure that {cluster} goes on; it is still told as paused", again):
            set_slots(cluster_pool(cluster), slots)
        with _told(f"Runs start on {cluster}, but `backfill status` still says that it is paused", again):
            end_pause(ledger, cluster)
    return pause if pause and pause.in_force else None


@contextmanager
def _one_at_a_time(ledger: Ledger, cluster: str, again: str, seconds: int | None = None) -> Iterator[None]:
    """A resume between a pause's two halves would leave a cluster that is told as paused and starts runs.

    The lock ends with its connection, whatever becomes of who holds it.
    """
    is_mine = False
    try:
        with ledger.transaction() as connection:
            connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{seconds or LOCK_SECONDS}s"])
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))", [cluster])
            is_mine = True
            yield
    except PipelineError as error:
        if is_mine:
            raise
        raise _half_done(f"Nothing was changed on {cluster}", error, again) from error


@contextmanager
def _told(what: str, again: str) -> Iterator[None]:
    try:
        yield
    except PipelineError as error:
        raise _half_done(what, error, again) from error


def _half_done(what: str, error: PipelineError, again: str) -> PipelineError:
    return PipelineError(
        what,
        where=error.where,
        why=f"{error.what}: {error.why}",
        next_step=f"{error.next_step}; then repeat it: {again}",
        kind=error.kind,
        code=error.code,
    )


def paused_clusters(ledger: Ledger) -> frozenset[str]:
    return frozenset(cluster for cluster, pause in read_pauses(ledger).items() if pause.in_force)


def write_pause(ledger: Ledger, cluster: str, *, why: str, by_whom: str, is_stopped: bool = False) -> None:
    """In force from now on; one that is in force keeps its reason."""
    with ledger.transaction() as connection:
        connection.execute(_PAUSE, [cluster, is_stopped, why, by_whom])


def end_pause(ledger: Ledger, cluster: str) -> bool:
    """Whether there was one in force."""
    with ledger.transaction() as connection:
        ended = connection.execute(
            "UPDATE ledger.pauses SET resumed_at = now() WHERE cluster = %s AND resumed_at IS NULL", [cluster]
        )
    return ended.rowcount > 0


_PAUSE = """
INSERT INTO ledger.pauses AS p (cluster, is_stopped, why, by_whom) VALUES (%s, %s, %s, %s)
ON CONFLICT (cluster) DO UPDATE
SET is_stopped = excluded.is_stopped, why = excluded.why, by_whom = excluded.by_whom, since = now(), resumed_at = NULL
WHERE p.resumed_at IS NOT NULL
"""
