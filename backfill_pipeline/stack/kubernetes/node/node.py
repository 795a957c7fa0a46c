"""The node itself: registers, and takes up what is bound to it, for as long as it is let."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from backfill_pipeline.clients.loopback import LOOPBACK
from backfill_pipeline.stack.kubernetes.node.api import told
from backfill_pipeline.stack.kubernetes.node.container import stamp
from backfill_pipeline.stack.kubernetes.node.logs import serve
from backfill_pipeline.stack.kubernetes.node.pod import Pod, Site, wait_until_over

CAPACITY = {"cpu": "64", "memory": "256Gi", "pods": "500", "ephemeral-storage": "256Gi"}
WATCH_SECONDS = 300
PAUSE_SECONDS = 0.5
ENDED = ("Succeeded", "Failed")


class Node:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._pods: dict[str, Pod] = {}

    def register(self, certificate: Path, key: Path) -> None:
        api, name = client.CoreV1Api(), self._site.name
        labels = {"kubernetes.io/hostname": name}
        told(api.create_node, {"metadata": {"name": name, "labels": labels}})
        told(api.patch_node_status, name, {"status": _status(serve(self.find, certificate, key))})
        told(api.patch_node, name, {"spec": {"taints": None}})  # the one of every new node; no controller takes it away

    def work(self) -> None:
        """Never returns; a broken watch is begun again with a list."""
        while True:
            try:
                self._watch()
            except (ApiException, HTTPError) as error:
                print(f"listing again: {str(error)[:200]!r}", file=sys.stderr, flush=True)
            time.sleep(PAUSE_SECONDS)

    def end(self) -> None:
        """Kills what runs; its pods are found lost by whoever comes next."""
        pods = list(self._pods.values())
        for pod in pods:
            pod.kill()
        wait_until_over(pods, 5)

    def find(self, namespace: str, name: str, container: str) -> Pod | None:
        for pod in list(self._pods.values()):
            meta = pod.object.metadata
            if (meta.namespace, meta.name) == (namespace, name) and container in pod.states:
                return pod
        return None

    def _watch(self) -> None:
        mine = {"field_selector": f"spec.nodeName={self._site.name}"}
        api = client.CoreV1Api()
        listed = told(api.list_pod_for_all_namespaces, **mine)
        for pod in listed.items:
            self._see(pod)
        for uid in set(self._pods) - {p.metadata.uid for p in listed.items}:
            self._gone(uid)
        since = {"resource_version": listed.metadata.resource_version, "timeout_seconds": WATCH_SECONDS}
        for event in watch.Watch().stream(api.list_pod_for_all_namespaces, **since, **mine):
            if event["type"] == "DELETED":
                self._gone(event["object"].metadata.uid)
            else:
                self._see(event["object"])

    def _see(self, found: Any) -> None:
        meta = found.metadata
        if meta.uid not in self._pods:
            self._take_up(found)
        if meta.deletion_timestamp and not self._pods[meta.uid].is_deleted:
            self._pods[meta.uid].delete(meta.deletion_grace_period_seconds or 0)

    def _take_up(self, found: Any) -> None:
        pod = self._pods[found.metadata.uid] = Pod(self._site, found)
        if found.status.phase in ENDED:
            pod.states = _told_before(found) or pod.states
            pod.over.set()
        elif found.status.phase == "Running" or found.metadata.deletion_timestamp:
            pod.lost()
        else:
            pod.start()

    def _gone(self, uid: str) -> None:
        pod = self._pods.pop(uid, None)
        if pod:
            pod.kill()


def _told_before(found: Any) -> dict[str, Any]:
    return {s.name: {"terminated": {}} for s in found.status.container_statuses or []}


def _status(port: int) -> dict[str, Any]:
    now = stamp(datetime.now(UTC))
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "containers are processes"}
    return {
        "addresses": [{"type": "InternalIP", "address": LOOPBACK}, {"type": "Hostname", "address": LOOPBACK}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "capacity": CAPACITY,
        "allocatable": CAPACITY,
        "conditions": [{**ready, "lastHeartbeatTime": now, "lastTransitionTime": now}],
    }
