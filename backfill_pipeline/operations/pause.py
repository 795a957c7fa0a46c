"""Pausing a cluster and resuming it: its pool in Dagster, and the reason in the ledger."""

from backfill_pipeline.clients.account import account
from backfill_pipeline.clients.dagster import DagsterClient
from backfill_pipeline.config import Cluster
from backfill_pipeline.domain.naming import cluster_pool
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.pauses import Pause, end_pause, read_pauses, write_pause


def pause(client: DagsterClient, ledger: Ledger, cluster: Cluster, why: str) -> None:
    """Nothing more starts there, whoever launches it; what runs goes on."""
    write_pause(ledger, cluster.name, why=why, by_whom=account())
    client.set_pool_limit(cluster_pool(cluster.name), 0)


def resume(client: DagsterClient, ledger: Ledger, cluster: Cluster) -> Pause | None:
    """The pause or stop that this ended; None if there was none. The pool gets its slots in any case."""
    pause = read_pauses(ledger).get(cluster.name)
    end_pause(ledger, cluster.name)
    client.set_pool_limit(cluster_pool(cluster.name), cluster.max_runs)
    return pause if pause and pause.in_force else None
