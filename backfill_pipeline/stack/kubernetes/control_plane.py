"""etcd, API server, controller manager and scheduler as parts of a stack: real ones, on loopback, for one machine."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from backfill_pipeline.clients.loopback import LOOPBACK
from backfill_pipeline.stack.kubernetes.access import write_certificate, write_kubeconfig, write_private
from backfill_pipeline.stack.probes import Answers
from backfill_pipeline.stack.processes import Process

ETCD, API, CONTROLLERS, SCHEDULER = "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"
PORTS = (ETCD, "etcd-peer", API, CONTROLLERS, SCHEDULER)
# What Jobs need, and what a namespace needs to come and go; no nodes are watched, as one of ours may be a stand-in.
WORKING = (
    *("job-controller", "cronjob-controller", "ttl-after-finished-controller", "namespace-controller"),
    *("serviceaccount-controller", "serviceaccount-token-controller", "garbage-collector-controller"),
    *("pod-garbage-collector-controller", "root-ca-certificate-publisher-controller"),
    *("clusterrole-aggregation-controller", "resourcequota-controller"),
)


@dataclass(frozen=True)
class ControlPlane:
    """Where it keeps what it has, where it listens, and the folder of its programs.

    ports: by the names of `PORTS`.
    """

    folder: Path
    programs: Path
    ports: Mapping[str, int]
    logs: Path
    host: str = LOOPBACK

    @property
    def kubeconfig(self) -> Path:
        """The administrator's; readable by its owner alone."""
        return self.folder / "admin.kubeconfig"

    @property
    def server(self) -> str:
        return f"https://{self.host}:{self.ports[API]}"

    @property
    def authority(self) -> Path:
        """Made by the API server at its first start, and its own certificate at once."""
        return self.folder / "certificates" / "apiserver.crt"

    @property
    def kubelet_client(self) -> Path:
        """What the API server shows a kubelet, which needs to let nobody else in; its key lies beside it."""
        return self.folder / "kubelet-client.crt"

    def prepare(self) -> None:
        """The files that must be there before the first start; kept at the next ones, but for the short-lived."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_certificate(self.kubelet_client, API)
        if not self._signing_key.exists():
            write_private(self._signing_key, _new_key())
        if not self._tokens.exists():
            write_private(self._tokens, f'{secrets.token_hex(16)},admin,admin,"system:masters"\n'.encode())
        token = self._tokens.read_text().split(",", 1)[0]
        write_kubeconfig(self.kubeconfig, self.server, self.authority, token)

    def processes(self) -> list[Process]:
        """In the order of their start."""
        return [self._etcd(), self._api_server(), self._controllers(), self._scheduler()]

    def _etcd(self) -> Process:
        client, peer = (f"http://{LOOPBACK}:{self.ports[p]}" for p in (ETCD, "etcd-peer"))
        options = {
            "--data-dir": self.folder / "etcd",
            "--listen-client-urls": client,
            "--advertise-client-urls": client,
            "--listen-peer-urls": peer,
            "--initial-advertise-peer-urls": peer,
            "--initial-cluster": f"default={peer}",
            "--log-level": "warn",
        }
        # What a power cut loses here is made anew; with fsync a slow disk makes the leases of the others run out.
        return self._process(ETCD, options, "--unsafe-no-fsync", ready=Answers(f"{client}/health"), after=())

    def _api_server(self) -> Process:
        options = {
            "--etcd-servers": f"http://{LOOPBACK}:{self.ports[ETCD]}",
            "--bind-address": self.host,
            "--secure-port": self.ports[API],
            "--cert-dir": self.authority.parent,
            "--endpoint-reconciler-type": "none",
            "--token-auth-file": self._tokens,
            "--authorization-mode": "RBAC",
            "--service-cluster-ip-range": "10.0.0.0/24",
            "--service-account-issuer": self.server,
            "--service-account-key-file": self._signing_key,
            "--service-account-signing-key-file": self._signing_key,
            "--kubelet-client-certificate": self.kubelet_client,
            "--kubelet-client-key": self.kubelet_client.with_suffix(".key"),
            # A kubelet takes no loopback address as its node's, but its name may be one.
            "--kubelet-preferred-address-types": "Hostname,InternalIP",
        }
        ready = Answers(f"{self.server}/readyz", self.authority)
        return self._process(API, options, ready=ready, after=(ETCD,))

    def _controllers(self) -> Process:
        options = {
            **self._client_options(CONTROLLERS),
            "--controllers": ",".join(WORKING),
            "--service-account-private-key-file": self._signing_key,
            "--root-ca-file": self.authority,
            "--kube-api-qps": 200,
            "--kube-api-burst": 400,
        }
        return self._process(CONTROLLERS, options, ready=self._healthy(CONTROLLERS), after=(API,))

    def _scheduler(self) -> Process:
        options = self._client_options(SCHEDULER)
        return self._process(SCHEDULER, options, ready=self._healthy(SCHEDULER), after=(API,))

    def _client_options(self, name: str) -> dict[str, object]:
        return {
            "--kubeconfig": self.kubeconfig,
            "--leader-elect": "false",
            "--bind-address": LOOPBACK,
            "--secure-port": self.ports[name],
            "--cert-dir": self._certificates(name).parent,
        }

    def _healthy(self, name: str) -> Answers:
        return Answers(f"https://{LOOPBACK}:{self.ports[name]}/healthz", self._certificates(name))

    def _certificates(self, name: str) -> Path:
        return self.folder / "certificates" / name / f"{name}.crt"

    def _process(
        self, name: str, options: Mapping[str, object], *flags: str, ready: Answers, after: tuple[str, ...]
    ) -> Process:
        return Process(
            name=name,
            command=(str(self.programs / name), *flags, *(f"{k}={v}" for k, v in options.items())),
            log=self.logs / f"{name}.log",
            env={"KUBECONFIG": str(self.kubeconfig)},
            ready=ready,
            ready_seconds=90,
            after=after,
        )

    @property
    def _signing_key(self) -> Path:
        return self.folder / "service-accounts.key"

    @property
    def _tokens(self) -> Path:
        return self.folder / "tokens.csv"


def _new_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
