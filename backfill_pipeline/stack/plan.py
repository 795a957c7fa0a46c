"""The processes of the stack as data, in the order of their start. Nothing here starts anything."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from backfill_pipeline.clients.loopback import LOOPBACK
from backfill_pipeline.stack import dagster_home, postgres, temporal
from backfill_pipeline.stack.embedded_config import Embedded, gateway_name, source_database, temporal_name
from backfill_pipeline.stack.kubernetes.control_plane import API, CONTROLLERS, ControlPlane
from backfill_pipeline.stack.probes import Answers, Finishes, Says
from backfill_pipeline.stack.processes import Process
from backfill_pipeline.stack.state import StackState

DATABASES = "databases"
NODE, PREPARE_KUBERNETES = "node", "prepare-kubernetes"
READY = "node is ready"  # what the node says; its module costs the Kubernetes client
IMAGE = "backfill-pipeline:latest"  # what deploy/'s CronJobs name
# All days of a run are told by one INSERT. Else the backfill daemon may see some of them, and launches what lies downstream
# for these alone and again for the rest: more runs than needed.
EVENTS_AT_ONCE = {"DAGSTER_EVENT_BATCH_SIZE": "1000"}


@dataclass(frozen=True)
class Site:
    """Where and from what the processes are made.

    temporal: the dev server's program; None where no Temporal is embedded.
    kubebox: the folder of Kubernetes' programs; None where no cluster is embedded.
    definitions: the module that Dagster's code server loads.
    """

    state: StackState
    embedded: Embedded
    temporal: Path | None
    definitions: str
    kubebox: Path | None = None

    def log(self, name: str) -> Path:
        return self.state.logs / f"{name}.log"

    def env(self) -> dict[str, str]:
        """For our own Python processes: the commands of Jobs find this very Python as `python`."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        return {**self.state.environment(), "PATH": path, "PYTHONUNBUFFERED": "1"}


def plan(site: Site) -> list[Process]:
    parts = (_postgres, _gateways, _temporal, _workers, _kubernetes, _dagster)
    return [process for part in parts for process in part(site)]


def _postgres(site: Site) -> list[Process]:
    if not site.embedded.postgres:
        return []
    port = site.state.ports["postgres"]
    server = postgres.server(site.state.folder / "postgres", port, site.log("postgres"))
    return [server, _databases(site, port)]


def _databases(site: Site, port: int) -> Process:
    sources = [part for c in site.embedded.sources for part in ("--source", source_database(c))]
    databases = ["--database", "dagster", *(["--database", "ledger"] if site.embedded.ledger else [])]
    return Process(
        name=DATABASES,
        command=(sys.executable, "-m", "backfill_pipeline.stack.databases", "--port", str(port), *databases, *sources),
        env=site.env(),
        log=site.log(DATABASES),
        ready=Finishes(),
        after=("postgres",),
    )


def _gateways(site: Site) -> list[Process]:
    return [
        _gateway(site, cluster, shard)
        for cluster, shards in site.embedded.gateways.items()
        for shard in range(1, shards + 1)
    ]


def _gateway(site: Site, cluster: str, shard: int) -> Process:
    name = gateway_name(cluster, shard)
    port, data = str(site.state.ports[name]), str(site.state.folder / "clickhouse" / name)
    return Process(
        name=name,
        command=(
            *(sys.executable, "-m", "backfill_pipeline.stack.gateway"),
            *("--path", data, "--port", port, "--shard", str(shard)),
        ),
        log=site.log(name),
        ready=Answers(f"http://{LOOPBACK}:{port}/ping"),
        stop_seconds=20,  # it lets inserts in flight end
    )


def _temporal(site: Site) -> list[Process]:
    return [_temporal_of(site, cluster) for cluster in site.embedded.temporal]


def _temporal_of(site: Site, cluster: str) -> Process:
    name, ports = temporal_name(cluster), site.state.ports
    assert site.temporal is not None, "found before the plan is made"
    database = site.state.folder / "temporal" / f"{cluster}.db"
    return temporal.dev_server(name, site.temporal, database, ports[name], ports[f"{name}-ui"], site.log(name))


def _workers(site: Site) -> list[Process]:
    return [_worker(site, cluster) for cluster in site.embedded.workers]


def _worker(site: Site, cluster: str) -> Process:
    name = f"worker-{cluster}"
    gateways = [gateway_name(cluster, n) for n in range(1, site.embedded.gateways.get(cluster, 0) + 1)]
    return Process(
        name=name,
        command=(sys.executable, "-m", "backfill_pipeline.worker", "--cluster", cluster),
        env=site.env(),
        log=site.log(name),
        ready=Says(f"worker of cluster {cluster} takes from"),
        ready_seconds=90,  # it tries to reach Temporal for 60 s, and then says why it could not
        after=(temporal_name(cluster), *gateways, *_after_databases(site)),
        stop_seconds=15,
    )


def _kubernetes(site: Site) -> list[Process]:
    if not site.embedded.kubernetes:
        return []
    plane = control_plane_of(site)
    return [*plane.processes(), node_of(site, plane), _prepared(site, plane)]


def control_plane_of(site: Site) -> ControlPlane:
    assert site.kubebox is not None, "built before the plan is made"
    return ControlPlane(site.state.folder / "kubernetes", site.kubebox, site.state.ports, site.state.logs)


def node_of(site: Site, plane: ControlPlane) -> Process:
    env = site.env()
    folder = plane.folder / "node"
    return Process(
        name=NODE,
        command=(
            *(sys.executable, "-m", "backfill_pipeline.stack.kubernetes.node", "--kubeconfig", str(plane.kubeconfig)),
            *("--folder", str(folder), "--image", IMAGE, "--image-path", env["PATH"]),
        ),
        log=site.log(NODE),
        ready=Says(READY),
        after=(API,),
    )


def _prepared(site: Site, plane: ControlPlane) -> Process:
    return Process(
        name=PREPARE_KUBERNETES,
        command=(
            *(sys.executable, "-m", "backfill_pipeline.stack.kubernetes.prepare"),
            *("--kubeconfig", str(plane.kubeconfig), "--folder", str(plane.folder), *site.embedded.kubernetes),
        ),
        env=site.env(),
        log=site.log(PREPARE_KUBERNETES),
        ready=Finishes(),
        after=(CONTROLLERS, NODE),
    )


def _dagster(site: Site) -> list[Process]:
    if not site.embedded.dagster:
        return []
    state = site.state
    env = {**site.env(), **EVENTS_AT_ONCE}
    return dagster_home.processes(
        state.dagster_home, site.definitions, state.ports, env, state.logs, _before_dagster(site)
    )


def _after_databases(site: Site) -> tuple[str, ...]:
    return (DATABASES,) if site.embedded.postgres else ()


def _before_dagster(site: Site) -> tuple[str, ...]:
    return (*_after_databases(site), *((PREPARE_KUBERNETES,) if site.embedded.kubernetes else ()))
