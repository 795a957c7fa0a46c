"""Where systems are reached, and how Jobs are started there. Secrets never stand in the file, only where they are found."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from backfill_pipeline.config.base import Host, Model, Name, Seconds, missing_variable, read, refuse_twice


class Secret(Model):
    """Where a password is found; neither set means there is none."""

    password_env: str | None = None
    password_file: Path | None = None

    def password(self) -> str | None:
        """The secret itself, read when it is needed and never kept.

        Raises:
            ConfigError: the variable or file that the configuration names is not there.
        """
        if self.password_env:
            if self.password_env not in os.environ:
                raise missing_variable(self.password_env)
            return os.environ[self.password_env]
        return read(self.password_file).strip() if self.password_file else None

    def lacks(self) -> Iterator[tuple[str, str]]:
        """The keys whose variable or file is not there, each with what is wrong."""
        if self.password_env and self.password_env not in os.environ:
            yield "password_env", f"{self.password_env} is not set"
        file = self.password_file
        if file and not (os.path.isfile(file) and os.access(file, os.R_OK)):
            yield "password_file", f"{file} is no file that can be read"


class PostgresAddress(Secret):
    """One PostgreSQL database; `host` may be a socket's directory."""

    host: Host
    port: int = Field(5432, ge=1, le=65535)
    database: Name
    user: str = "postgres"
    sslmode: str = "prefer"
    connect_timeout_seconds: Seconds = 10
    statement_timeout_seconds: Seconds = 600

    def __str__(self) -> str:
        return f"postgresql://{self.host}:{self.port}/{self.database}"


class Replica(Model):
    host: Host
    port: int = Field(8123, ge=1, le=65535)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Shard(Model):
    replicas: list[Replica] = Field(min_length=1)


class ClickHouseAddress(Secret):
    """A cluster of shards, each with its replicas' HTTP addresses, in the order of `system.clusters`."""

    shards: list[Shard] = Field(min_length=1)
    database: Name = "default"
    cluster: Name = Field("conversations", description="name in system.clusters")
    user: str = "default"
    secure: bool = False
    connect_timeout_seconds: Seconds = 10
    query_timeout_seconds: Seconds = 600
    delete: Literal["lightweight", "alter"] = "lightweight"
    row_version: Literal["marker"] = Field("marker", description="what workers write; other workers' ways are to come")
    known_views: list[str] = Field([], description="materialized views on the targets that you rebuild yourself")

    @model_validator(mode="after")
    def _each_replica_once(self) -> "ClickHouseAddress":
        refuse_twice([str(r) for s in self.shards for r in s.replicas], "replica")
        return self

    def __str__(self) -> str:
        return ", ".join(str(r) for s in self.shards for r in s.replicas)


class TemporalAddress(Model):
    address: str
    namespace: str = "ingestion"
    ui: str | None = Field(None, description="base URL of the UI, for links")


class Launcher(Model):
    """How Jobs are started: `local` runs the manifest's command as a subprocess, `kubernetes` makes Jobs of a cluster."""

    kind: Literal["local", "kubernetes"] = "local"
    manifests: Path = Field(Path("deploy/cronjobs"), description="local: folder of the CronJobs' manifests")
    jobs: Path = Field(Path(".local/jobs"), description="local: folder of the Jobs and their logs")
    namespace: str = Field(
        "cron",
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        description="kubernetes: of the CronJobs and their Jobs",
    )
    context: str | None = Field(
        None, min_length=1, description="kubernetes: of the kubeconfig; none: the account of the pod that this runs in"
    )
    kubeconfig: Path | None = Field(None, description="kubernetes: the file; default: KUBECONFIG or ~/.kube/config")

    @model_validator(mode="after")
    def _keys_fit_the_kind(self) -> "Launcher":
        keys = {"local": {"manifests", "jobs"}, "kubernetes": {"namespace", "context", "kubeconfig"}}
        other = sorted(self.model_fields_set - {"kind"} - keys[self.kind])
        if other:
            raise ValueError(
                f"{', '.join(other)}: not a key of kind {self.kind}; expected {', '.join(sorted(keys[self.kind]))}"
            )
        return self
