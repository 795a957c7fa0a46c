"""Pausing a cluster and resuming it, through Dagster's webserver."""

from backfill_pipeline.clients.account import account
from backfill_pipeline.clients.dagster import DagsterClient
from backfill_pipeline.config import Cluster
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.pauses import Pause, hold, release


def pause(client: DagsterClient, ledger: Ledger, cluster: Cluster, why: str) -> Pause | None:
    """As `hold`."""
    return hold(client.set_pool_limit, ledger, cluster.name, why=why, by_whom=account())


def resume(client: DagsterClient, ledger: Ledger, cluster: Cluster) -> Pause | None:
    """As `release`."""
    return release(client.set_pool_limit, ledger, cluster.name, cluster.max_runs)
