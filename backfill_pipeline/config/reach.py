"""How the parts of a cluster are reached: directly, or through `kubectl port-forward`; and where its Jobs run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from backfill_pipeline.config.base import Context, Given, M, Model, Port

LOOPBACK = "127.0.0.1"
NOT_OPEN = f"{LOOPBACK}:0"
NAMESPACE_FORM = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"


class Launcher(Model):
    """How Jobs are started: `local` runs the manifest's command as a subprocess, `kubernetes` makes Jobs of a cluster."""

    kind: Literal["local", "kubernetes"] = "local"
    manifests: Given = Field(Path("deploy/cronjobs"), description="local: folder of the CronJobs' manifests")
    jobs: Given = Field(Path(".local/jobs"), description="local: folder of the Jobs and their logs")
    namespace: str = Field("cron", pattern=NAMESPACE_FORM, description="kubernetes: of the CronJobs and their Jobs")
    context: Context | None = Field(
        None, description="kubernetes: of the kubeconfig; none: the account of the pod that this runs in"
    )
    kubeconfig: Given | None = Field(None, description="kubernetes: the file; default: KUBECONFIG or ~/.kube/config")

    @model_validator(mode="after")
    def _keys_fit_the_kind(self) -> "Launcher":
        keys = {"local": {"manifests", "jobs"}, "kubernetes": {"namespace", "context", "kubeconfig"}}
        given = {n for n in self.model_fields_set if getattr(self, n) != type(self).model_fields[n].default}
        other = sorted(given - {"kind"} - keys[self.kind])
        if other:
            raise ValueError(
                f"{', '.join(other)}: not a key of kind {self.kind}; expected {', '.join(sorted(keys[self.kind]))}"
            )
        return self

    @property
    def place(self) -> str:
        """Where its Jobs are found again, in words: one that was made elsewhere is not there, and yet not gone."""
        if self.kind == "local":
            return f"local, folder {self.jobs.absolute()}"
        return f"kubernetes, context {self.context or '(that of the own pod)'}, namespace {self.namespace}"


class Forward(Model):
    """What `kubectl port-forward` leads to."""

    target: str = Field(pattern=r"^(service|pod)/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")
    port: Port = Field(description="of the service, or of the pod")
    namespace: str | None = Field(None, pattern=NAMESPACE_FORM, description="default: the launcher's")
    context: Context | None = Field(None, description="default: the launcher's")
    kubeconfig: Given | None = Field(None, description="default: the launcher's")

    def with_defaults(self, launcher: Launcher) -> "Forward":
        """A context is never guessed: kubectl's current one may be of another cluster.

        Raises:
            ValueError: neither this nor the launcher says where.
        """
        is_there = launcher.kind == "kubernetes"
        lacks = [] if is_there else [k for k in ("context", "namespace") if getattr(self, k) is None]
        if lacks:
            raise ValueError(f"forward.{', forward.'.join(lacks)}: required, as the launcher is not of kind kubernetes")
        defaults = {k: getattr(launcher, k) for k in ("namespace", "context", "kubeconfig")} if is_there else {}
        return self.model_copy(update={k: v for k, v in defaults.items() if getattr(self, k) is None and v is not None})

    def __str__(self) -> str:
        return f"{self.target}:{self.port} in {self.namespace} of {self.context or 'the own cluster'}"


class Reached(Model):
    """An address that is given, or that a port-forward gets when it is opened: until then it is port 0 of loopback."""

    forward: Forward | None = None

    @field_validator("host", "address", mode="before", check_fields=False)
    @classmethod
    def _given_or_forwarded(cls, value: object, info: ValidationInfo) -> object:
        if value != "":
            return value
        if info.data.get("forward", ...) is None:
            raise PydanticCustomError("missing", "Field required")
        return LOOPBACK if info.field_name == "host" else NOT_OPEN

    @field_validator("port", check_fields=False)
    @classmethod
    def _none_before_it_is_open(cls, port: int, info: ValidationInfo) -> int:
        return 0 if info.data.get("forward") else port

    @model_validator(mode="after")
    def _there_is_one_way(self) -> "Reached":
        beside = sorted({"host", "port", "address"} & self.model_fields_set)
        if self.forward and beside:
            raise ValueError(
                f"{', '.join(beside)}: not beside `forward`, whose own address is chosen when it is opened"
            )
        return self

    @property
    def waits(self) -> bool:
        """Whether it has a forward that nobody has opened."""
        return self.forward is not None and (
            getattr(self, "port", None) == 0 or getattr(self, "address", "") == NOT_OPEN
        )

    def completed(self, launcher: Launcher) -> "Reached":
        return self.model_copy(update={"forward": self.forward.with_defaults(launcher)}) if self.forward else self

    def opened(self, port: int) -> "Reached":
        """The address as it is reached while its forward is open at this port of loopback."""
        where = {"port": port} if "port" in type(self).model_fields else {"address": f"{LOOPBACK}:{port}"}
        return self.model_copy(update=where)

    def _by(self) -> str:
        return f" ({self.forward})" if self.forward else ""


def each_reached(address: M, change: Callable[[Reached], Reached]) -> M:
    """The same with every address in it changed: it is one itself, or has shards of replicas."""
    if isinstance(address, Reached):
        return change(address)  # type: ignore[return-value]
    shards: list[Any] = getattr(address, "shards", [])
    changed = [s.model_copy(update={"replicas": [change(r) for r in s.replicas]}) for s in shards]
    return address.model_copy(update={"shards": changed})


def reached(address: Model) -> list[Reached]:
    """Every address in it."""
    found: list[Reached] = []
    each_reached(address, lambda a: found.append(a) or a)  # type: ignore[func-returns-value]
    return found
