"""Clusters on which nothing may start: paused by a person, or stopped because most of their windows failed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from backfill_pipeline.stores.ledger import Ledger


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


def read_pauses(ledger: Ledger) -> Mapping[str, Pause]:
    """Cluster -> its last pause, also one that is over."""
    with ledger.transaction() as connection:
        rows = connection.execute(
            "SELECT cluster, is_stopped, why, by_whom, since, resumed_at FROM ledger.pauses"
        ).fetchall()
    return {row[0]: Pause(*row) for row in rows}


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
