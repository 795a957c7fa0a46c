"""The life of one pod on this node: its containers run in order, its status is told, its end is waited for."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubernetes import client

from backfill_pipeline.stack.kubernetes.node.api import told
from backfill_pipeline.stack.kubernetes.node.container import START_ERROR, Container, last_words, stamp
from backfill_pipeline.stack.kubernetes.node.environment import NoSuchReference, environment

AGAIN_SECONDS = 1.0
DEADLINE_GRACE_SECONDS = 2
LOST = {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": "it ran before this node was started again"}

State = dict[str, Any]


@dataclass(frozen=True)
class Site:
    """The node that a pod runs on. images: what each may set as env; one that is not in here can't be pulled."""

    name: str
    folder: Path
    images: Mapping[str, Mapping[str, str]]


@dataclass
class Pod:
    site: Site
    object: Any
    phase: str = "Pending"
    reason: str | None = None
    states: dict[str, State] = field(default_factory=dict)
    running: list[Container] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    is_deleted: bool = False
    telling: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.begun = datetime.now(UTC)
        self.states = {c.name: {"waiting": {"reason": "ContainerCreating"}} for c in self.containers}
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def folder(self) -> Path:
        return self.site.folder / str(self.object.metadata.uid)

    @property
    def containers(self) -> list[Any]:
        return [*(self.object.spec.init_containers or []), *self.object.spec.containers]

    def start(self) -> None:
        threading.Thread(target=self._live, daemon=True).start()

    def lost(self) -> None:
        """For a pod that ran under an earlier process of this node."""
        self.states = {name: {"terminated": LOST} for name in self.states}
        self._end("Failed")

    def delete(self, grace_seconds: int) -> None:
        """Asked for from outside: the object goes when the processes have gone."""
        self.is_deleted = True
        self.stop(grace_seconds)
        if self.over.is_set():
            self._forget()

    def stop(self, grace_seconds: float) -> None:
        """SIGTERM now, SIGKILL after the grace."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        for container in self.running:
            container.terminate()
        threading.Thread(target=self._kill_after, args=[grace_seconds], daemon=True).start()

    def kill(self) -> None:
        self.stopping.set()
        for container in self.running:
            container.kill()

    def _kill_after(self, seconds: float) -> None:
        if not self.over.wait(seconds):
            self.kill()

    def _live(self) -> None:
        limit = self.object.spec.active_deadline_seconds
        if limit:
            threading.Thread(target=self._end_at_deadline, args=[limit], daemon=True).start()
        init = [self._run(c, is_init=True) for c in self.object.spec.init_containers or []]
        codes = init if any(init) else [*init, *self._run_at_once(self.object.spec.containers)]
        self._end("Failed" if any(codes) or self.stopping.is_set() else "Succeeded")

    def _run_at_once(self, containers: list[Any]) -> list[int]:
        codes: list[int] = []
        threads = [threading.Thread(target=lambda c=c: codes.append(self._run(c))) for c in containers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return codes

    def _run(self, spec: Any, *, is_init: bool = False) -> int:
        started = self._started(spec)
        if not isinstance(started, Container):
            return self._terminated(spec, datetime.now(UTC), START_ERROR, "StartError", started)
        self.running.append(started)
        if self.stopping.is_set():
            started.terminate()
        self.states[spec.name] = {"running": {"startedAt": stamp(started.begun)}}
        self.phase = self.phase if is_init else "Running"
        self._tell()
        code = started.wait()
        wants_log = code and spec.termination_message_policy == "FallbackToLogsOnError"
        message = last_words(self.folder, spec.name) if wants_log else None
        self._terminated(spec, started.begun, code, "Error" if code else "Completed", message)
        if any("running" in state for state in self.states.values()):
            self._tell()  # the others go on, perhaps for hours
        return code

    def _started(self, spec: Any) -> Container | str:
        """The container once its image and env are there; why it can never run otherwise."""
        while not self.stopping.is_set():
            try:
                image = self.site.images[spec.image]
                home = {"HOME": str(self.folder), "HOSTNAME": self.object.metadata.name}
                env = environment(self.object, spec, {**image, **home}, self.site.name)
                return Container(spec, env, self.folder)
            except KeyError:
                self._waiting(spec, "ImagePullBackOff", f'Back-off pulling image "{spec.image}"')
            except NoSuchReference as error:
                self._waiting(spec, "CreateContainerConfigError", str(error))
            except OSError as error:
                return str(error)
            self.stopping.wait(AGAIN_SECONDS)
        return "ended before it was started"

    def _waiting(self, spec: Any, reason: str, message: str) -> None:
        state = {"waiting": {"reason": reason, "message": message}}
        if self.states[spec.name] != state:
            self.states[spec.name] = state
            self._tell()

    def _terminated(self, spec: Any, begun: datetime, code: int, reason: str, message: str | None) -> int:
        ended = {"startedAt": stamp(begun), "finishedAt": stamp(datetime.now(UTC))}
        self.states[spec.name] = {"terminated": {"exitCode": code, "reason": reason, "message": message, **ended}}
        return code

    def _end_at_deadline(self, seconds: float) -> None:
        if not self.over.wait(seconds):
            self.reason = "DeadlineExceeded"
            self.stop(DEADLINE_GRACE_SECONDS)

    def _end(self, phase: str) -> None:
        self.phase = phase
        try:
            self._tell()
        finally:
            self.over.set()
            if self.is_deleted:
                self._forget()

    def _forget(self) -> None:
        same = client.V1Preconditions(uid=self.object.metadata.uid)
        options = client.V1DeleteOptions(grace_period_seconds=0, preconditions=same)
        meta = self.object.metadata
        told(client.CoreV1Api().delete_namespaced_pod, meta.name, meta.namespace, body=options)

    def _tell(self) -> None:
        """One at a time: of two containers that change together, what is older may not be told last."""
        meta = self.object.metadata
        with self.telling:
            body = {"metadata": {"uid": meta.uid}, "status": self._status()}
            told(client.CoreV1Api().patch_namespaced_pod_status, meta.name, meta.namespace, body)

    def _status(self) -> dict[str, Any]:
        main = [self._row(c) for c in self.object.spec.containers]
        is_ready = str(self.phase == "Running" and all(row["ready"] for row in main))
        return {
            "phase": self.phase,
            "reason": self.reason,
            "startTime": stamp(self.begun),
            "hostIP": "127.0.0.1",
            "podIP": "127.0.0.1",
            "podIPs": [{"ip": "127.0.0.1"}],
            "containerStatuses": main,
            "initContainerStatuses": [self._row(c) for c in self.object.spec.init_containers or []],
            "conditions": [
                {"type": "Initialized", "status": "True"},
                {"type": "Ready", "status": is_ready},
                {"type": "ContainersReady", "status": is_ready},
            ],
        }

    def _row(self, spec: Any) -> dict[str, Any]:
        state = self.states[spec.name]
        return {
            "name": spec.name,
            "image": spec.image,
            "imageID": spec.image,
            "containerID": f"process://{self.object.metadata.uid}/{spec.name}",
            "restartCount": 0,
            "state": state,
            "started": "running" in state,
            "ready": "running" in state or state.get("terminated", {}).get("exitCode") == 0,
        }


def wait_until_over(pods: list[Pod], seconds: float) -> None:
    end = time.monotonic() + seconds
    for pod in pods:
        pod.over.wait(max(0.0, end - time.monotonic()))
