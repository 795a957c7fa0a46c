"""The configuration of the embedded stack: what a file leaves out is embedded, what it gives is left alone."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from backfill_pipeline.clients.loopback import LOOPBACK
from backfill_pipeline.config import Config, load
from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.stack.kubernetes import control_plane, prepare
from backfill_pipeline.stack.kubernetes.access import CONTEXT
from backfill_pipeline.stack.password import ENV_PASSWORD
from backfill_pipeline.stack.postgres import USER
from backfill_pipeline.stack.processes import PROJECT

PARTS = frozenset({"postgres", "gateways", "temporal", "workers", "dagster"})
LONGEST_DATABASE_NAME = 63
FIRST_DAY = "2026-01-01"
WINDOW_DAYS = 10
HEADER = "# Written by the stack at each of its starts: changes are lost. Give it a file of your own instead.\n"

Tree = dict[str, Any]


@dataclass(frozen=True)
class StackCluster:
    """A made-up cluster. customers: id -> profiles."""

    name: str
    customers: Mapping[str, Sequence[str]]
    shards: int = 1

    def tree(self) -> Tree:
        customers = [{"id": i, "profiles": list(p), "window_days": WINDOW_DAYS} for i, p in self.customers.items()]
        return {"name": self.name, "first_day": FIRST_DAY, "customers": customers}


NORTH = StackCluster(
    "north", {"acme": ["default"], "acme-east": ["default"], "globex": ["retail", "support"]}, shards=1
)
SOUTH = StackCluster("south", {"initech": ["default"], "umbrella": ["default"], "hooli": ["default"]}, shards=2)
CLUSTERS = (NORTH, SOUTH)


@dataclass(frozen=True)
class Embedded:
    """Which parts are started here. gateways: cluster -> number of shards; the others: names of clusters."""

    sources: tuple[str, ...]
    gateways: Mapping[str, int]
    temporal: tuple[str, ...]
    workers: tuple[str, ...]
    postgres: bool
    ledger: bool
    dagster: bool
    kubernetes: tuple[str, ...] = ()

    def port_names(self) -> list[str]:
        return [
            *(["postgres"] if self.postgres else []),
            *(gateway_name(c, n) for c, shards in self.gateways.items() for n in range(1, shards + 1)),
            *(name for c in self.temporal for name in (temporal_name(c), f"{temporal_name(c)}-ui")),
            *(["code-server", "webserver"] if self.dagster else []),
            *(control_plane.PORTS if self.kubernetes else ()),
        ]


def gateway_name(cluster: str, shard: int) -> str:
    return f"gateway-{cluster}-{shard}"


def temporal_name(cluster: str) -> str:
    return f"temporal-{cluster}"


def source_database(cluster: str) -> str:
    """PostgreSQL cuts a longer name without a word, and two clusters would share a database."""
    fits = len(cluster) <= LONGEST_DATABASE_NAME - len("source_")
    return f"source_{cluster if fits else hashlib.sha256(cluster.encode()).hexdigest()[:40]}"


def made_up(clusters: Sequence[StackCluster]) -> Config:
    """A configuration without any address: all of it will be embedded."""
    return Config.model_validate({"datasets": list(DATASETS), "clusters": [c.tree() for c in clusters]})


def embedded(
    config: Config, shards: Mapping[str, int], parts: Collection[str], *, own_storage: bool, launcher: str = "local"
) -> Embedded:
    """What must be started for the addresses that the configuration does not give.

    Args:
        shards: cluster -> shards of its embedded ClickHouse; 1 where it is not named.
        parts: those of `PARTS` that may be started at all.
        own_storage: the environment names a Dagster storage of the user's own.
        launcher: which kind clusters get that name none.
    """
    postgres = "postgres" in parts
    sources = tuple(c.name for c in config.clusters if postgres and c.postgres is None)
    temporal = tuple(c.name for c in config.clusters if "temporal" in parts and c.temporal is None)
    ledger = postgres and config.ledger is None
    return Embedded(
        sources=sources,
        gateways={
            c.name: shards.get(c.name, 1) for c in config.clusters if "gateways" in parts and c.clickhouse is None
        },
        temporal=temporal,
        # a cluster with a Temporal of its own has workers of its own too
        workers=tuple(c for c in temporal if "workers" in parts),
        postgres=postgres and bool(sources or ledger or not own_storage),
        ledger=ledger,
        dagster="dagster" in parts,
        kubernetes=tuple(
            c.name for c in config.clusters if launcher == "kubernetes" and "launcher" not in c.model_fields_set
        ),
    )


def complete(config: Config, parts: Embedded, ports: Mapping[str, int], folder: Path) -> Tree:
    """The configuration with the addresses of the embedded parts filled in."""
    tree: Tree = config.model_dump(mode="json", exclude_unset=True)
    tree["clusters"] = [_complete_cluster(c, parts, ports, folder) for c in tree["clusters"]]
    if parts.ledger:
        tree["ledger"] = _postgres("ledger", ports)
    return tree


def write(tree: Tree, path: Path) -> None:
    """Writes the file and loads it again, so that a mistake shows here and not in five processes.

    Raises:
        ConfigError: it does not fit the model.
    """
    path.write_text(HEADER + yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    load(path, need_secrets=False)


def _complete_cluster(tree: Tree, parts: Embedded, ports: Mapping[str, int], folder: Path) -> Tree:
    name = tree["name"]
    added: Tree = {"launcher": _cluster_launcher(name, folder) if name in parts.kubernetes else _launcher(folder)}
    if name in parts.sources:
        added["postgres"] = _postgres(source_database(name), ports)
    if name in parts.gateways:
        added["clickhouse"] = _clickhouse(name, parts.gateways[name], ports)
    if name in parts.temporal:
        added["temporal"] = _temporal(name, ports)
    given = {key: value for key, value in tree.items() if value is not None}
    return {**given, **{key: value for key, value in added.items() if key not in given}}


def _postgres(database: str, ports: Mapping[str, int]) -> Tree:
    return {
        "host": LOOPBACK,
        "port": ports["postgres"],
        "database": database,
        "user": USER,
        "password_env": ENV_PASSWORD,
        "sslmode": "disable",
    }


def _clickhouse(cluster: str, shards: int, ports: Mapping[str, int]) -> Tree:
    numbers = range(1, shards + 1)
    return {
        "shards": [{"replicas": [{"host": LOOPBACK, "port": ports[gateway_name(cluster, n)]}]} for n in numbers],
    }


def _temporal(cluster: str, ports: Mapping[str, int]) -> Tree:
    name = temporal_name(cluster)
    return {"address": f"{LOOPBACK}:{ports[name]}", "ui": f"http://{LOOPBACK}:{ports[f'{name}-ui']}"}


def _cluster_launcher(cluster: str, folder: Path) -> Tree:
    kubeconfig = prepare.kubeconfig_of(folder / "kubernetes", cluster)
    return {
        "kind": "kubernetes",
        "namespace": prepare.namespace_of(cluster),
        "context": CONTEXT,
        "kubeconfig": str(kubeconfig),
    }


def _launcher(folder: Path) -> Tree:
    return {"kind": "local", "manifests": str(PROJECT / "deploy" / "cronjobs"), "jobs": str(folder / "jobs")}
