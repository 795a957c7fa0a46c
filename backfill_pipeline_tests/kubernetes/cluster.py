"""A real control plane for tests, with a node whose containers are processes; and namespaces to be alone in."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from kubernetes import client, config

from backfill_pipeline.stack.kubernetes.access import CONTEXT
from backfill_pipeline.stack.kubernetes.control_plane import API, PORTS, ControlPlane
from backfill_pipeline.stack.kubernetes.kubebox import kubebox
from backfill_pipeline.stack.plan import IMAGE, NODE, READY
from backfill_pipeline.stack.ports import choose_ports
from backfill_pipeline.stack.probes import Says
from backfill_pipeline.stack.processes import PROJECT, Process
from backfill_pipeline.stack.watch import Watch

T = TypeVar("T")
Tree = Mapping[str, Any]
NOTHING: Tree = {}


@dataclass(frozen=True)
class TestCluster:
    __test__ = False
    plane: ControlPlane
    watch: Watch

    def api(self) -> client.ApiClient:
        return administrator(self.plane)


def administrator(plane: ControlPlane) -> client.ApiClient:
    return config.new_client_from_config(str(plane.kubeconfig), CONTEXT)


@contextmanager
def cluster(folder: Path) -> Iterator[TestCluster]:
    plane = ControlPlane(folder / "control-plane", kubebox(print), choose_ports(PORTS, {}), folder / "logs")
    plane.prepare()
    with watched([*plane.processes(), _node(folder, plane)], folder.name) as watch:
        yield TestCluster(plane, watch)


@contextmanager
def watched(processes: Sequence[Process], name: str) -> Iterator[Watch]:
    """All of them ready; ended with this."""
    watch = Watch(processes, name, print, lambda *_: None)
    watch.start()
    try:
        until(f"the start of {name}", lambda: watch.started.is_set() or watch.failure, seconds=120)
        if watch.failure:
            raise watch.failure
        yield watch
    finally:
        watch.stop()
        watch.ended.wait(60)


def _node(folder: Path, plane: ControlPlane) -> Process:
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return Process(
        name=NODE,
        command=(
            *(sys.executable, "-m", "backfill_pipeline.stack.kubernetes.node", "--kubeconfig", str(plane.kubeconfig)),
            *("--folder", str(folder / NODE), "--image", IMAGE, "--image-path", path),
        ),
        log=folder / "logs" / "node.log",
        ready=Says(READY),
        after=(API,),
    )


def until(what: str, ask: Callable[[], T], *, seconds: float = 30) -> T:
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)
    return answer


@dataclass(frozen=True)
class Namespace:
    """One of a test's own, with the CronJobs of deploy/."""

    cluster: TestCluster
    api: client.ApiClient
    name: str

    def apply(self, tree: dict[str, Any]) -> None:
        """Creates an object of any kind that deploy/ knows, in this namespace."""
        makers = {
            "CronJob": client.BatchV1Api(self.api).create_namespaced_cron_job,
            "ServiceAccount": client.CoreV1Api(self.api).create_namespaced_service_account,
            "ResourceQuota": client.CoreV1Api(self.api).create_namespaced_resource_quota,
            "Role": client.RbacAuthorizationV1Api(self.api).create_namespaced_role,
            "RoleBinding": client.RbacAuthorizationV1Api(self.api).create_namespaced_role_binding,
        }
        makers[tree["kind"]](self.name, json.loads(json.dumps(tree).replace('"cron"', json.dumps(self.name))))

    def cronjob(self, name: str, *command: str, pod: Tree = NOTHING, container: Tree = NOTHING, **spec: Any) -> None:
        """A CronJob whose container runs this command instead of a task of the pipeline.

        pod, container: what else is other than in deploy/.
        """
        tree = deployed("cronjobs/cron-batch-reindex-conversations.yaml")[0]
        tree["metadata"]["name"] = name
        tree["spec"].update(spec)
        template = tree["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        template.update(pod)
        del template["containers"][0]["envFrom"]  # the Secret that a task of the pipeline needs
        template["containers"][0].update(container, command=list(command))
        self.apply(tree)


def deployed(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((PROJECT / "deploy" / file).read_text()))


@contextmanager
def namespace(of: TestCluster, name: str) -> Iterator[Namespace]:
    with of.api() as api:
        core = client.CoreV1Api(api)
        core.create_namespace({"metadata": {"name": name}})
        until("its service account", lambda: core.list_namespaced_service_account(name).items)
        yield Namespace(of, api, name)
        core.delete_namespace(name)
