"""The systems of one cluster as the steps use them; clock, sleep and log are arguments so that tests own them."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from backfill_pipeline.clients.launcher import Launcher
from backfill_pipeline.clients.local_jobs import LocalJobs
from backfill_pipeline.clients.port_forward.forwarded import forwarded
from backfill_pipeline.clients.temporal import Temporal
from backfill_pipeline.config import ENV_CONFIG, Cluster, Config, HealthLimits, Limits, required
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.postgres import Postgres

ENV_CLUSTER = "BACKFILL_CLUSTER"


def _today() -> date:
    return datetime.now(UTC).date()


@dataclass(frozen=True)
class Systems:
    cluster: Cluster
    limits: Limits
    postgres: Postgres
    clickhouse: ClickHouse
    temporal: Temporal
    launcher: Launcher
    ledger: Ledger
    datasets: tuple[str, ...]
    health: HealthLimits
    reads_logs: bool = True  # of Jobs; without them executions are found through Temporal
    forwards: ExitStack = field(default_factory=ExitStack)  # open for as long as these systems are
    log: Callable[[str], None] = field(default=print)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    today: Callable[[], date] = _today

    def close(self) -> None:
        with self.forwards:
            self.launcher.close()
            self.temporal.close()
            self.clickhouse.close()


def open_systems(config: Config, cluster_name: str, log: Callable[[str], None]) -> Systems:
    """Stores and clients of a cluster; only port-forwards are opened here, nothing else is connected before it is used.

    Raises:
        ConfigError: the configuration gives no address for one of them.
        PipelineError: a port-forward does not open.
    """
    with ExitStack() as forwards:
        cluster = forwards.enter_context(forwarded(config.cluster(cluster_name)))
        return replace(_systems(config, cluster, log), forwards=forwards.pop_all())


def _systems(config: Config, cluster: Cluster, log: Callable[[str], None]) -> Systems:
    return Systems(
        cluster=cluster,
        limits=config.limits,
        postgres=Postgres(required(cluster.postgres, cluster.name, "postgres")),
        clickhouse=ClickHouse(required(cluster.clickhouse, cluster.name, "clickhouse")),
        temporal=Temporal(required(cluster.temporal, cluster.name, "temporal")),
        launcher=_launcher(cluster),
        ledger=open_ledger(config),
        datasets=tuple(config.datasets),
        health=config.health,
        log=log,
    )


def open_ledger(config: Config) -> Ledger:
    return Ledger(Postgres(required(config.ledger, "", "ledger")), lease_seconds=config.limits.lease_seconds)


def _launcher(cluster: Cluster) -> Launcher:
    given = cluster.launcher
    if given.kind == "local":
        return LocalJobs(given.manifests, given.jobs / cluster.name, job_environment(cluster))
    from backfill_pipeline.clients.kubernetes.login import opened  # its client costs half a second, and few need it

    return opened(given)


def job_environment(cluster: Cluster) -> Mapping[str, str]:
    return {ENV_CLUSTER: cluster.name, ENV_CONFIG: os.environ.get(ENV_CONFIG, "")}
