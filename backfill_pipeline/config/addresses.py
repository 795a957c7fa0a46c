"""Where systems are reached. Secrets never stand in the file, only where they are found."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from backfill_pipeline.config.base import (
    Given,
    Host,
    Model,
    Name,
    PageUrl,
    Port,
    Timeout,
    Variable,
    missing_variable,
    not_text,
    read,
    refuse_twice,
)
from backfill_pipeline.config.reach import Reached


class Secret(Model):
    """Where a password is found; neither set means there is none."""

    password_env: Variable | None = None
    password_file: Given | None = None

    def password(self) -> str | None:
        """The secret itself, read when it is needed and never kept.

        Raises:
            ConfigError: the variable or file that the configuration names is not there.
        """
        return secret(self.password_env, self.password_file)

    def lacks(self) -> Iterator[tuple[str, str]]:
        """The keys whose variable or file is not there, each with what is wrong."""
        return lacking("password", self.password_env, self.password_file)


class Alerts(Model):
    """A webhook's address lets whoever knows it write there, so it is found as a password is."""

    webhook_env: Variable | None = Field(
        None, description="variable that holds its address; none: alerts are only logged"
    )
    webhook_file: Given | None = Field(None, description="or the file that holds it")

    def webhook(self) -> str | None:
        """As `Secret.password`."""
        return secret(self.webhook_env, self.webhook_file)

    def lacks(self) -> Iterator[tuple[str, str]]:
        return lacking("webhook", self.webhook_env, self.webhook_file)


def secret(variable: str | None, file: Path | None) -> str | None:
    """What the variable or the file holds.

    Raises:
        ConfigError: it is not there, or no text.
    """
    if variable:
        if variable not in os.environ:
            raise missing_variable(variable)
        if not _is_text(os.environ[variable]):
            raise not_text(variable)
        return os.environ[variable]
    return read(file).strip() if file else None


def lacking(key: str, variable: str | None, file: Path | None) -> Iterator[tuple[str, str]]:
    if variable and variable not in os.environ:
        yield f"{key}_env", f"{variable} is not set"
    if variable and not _is_text(os.environ.get(variable, "")):
        yield f"{key}_env", f"{variable} is not UTF-8"
    if file and not (os.path.isfile(file) and os.access(file, os.R_OK)):
        yield f"{key}_file", f"{file} is no file that can be read"


def _is_text(value: str) -> bool:
    """Not so are bytes of another encoding: Python keeps them as halves of surrogate pairs, which no driver takes."""
    return not any("\ud800" <= c <= "\udfff" for c in value)


class PostgresAddress(Reached, Secret):
    """One PostgreSQL database; `host` may be a socket's directory."""

    host: Host = Field("", validate_default=True)
    port: Port = Field(5432, validate_default=True)
    database: Name
    user: str = "postgres"
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    connect_timeout_seconds: Timeout = 10
    statement_timeout_seconds: Timeout = 600

    def __str__(self) -> str:
        return f"postgresql://{self.host}:{self.port}/{self.database}{self._by()}"


class Replica(Reached):
    host: Host = Field("", validate_default=True)
    port: Port = Field(8123, validate_default=True)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}{self._by()}"


class Shard(Model):
    replicas: list[Replica] = Field(min_length=1)


class TemporalAddress(Reached):
    address: Host = Field("", validate_default=True)
    namespace: str = "ingestion"
    ui: PageUrl | None = Field(None, description="base URL of the UI, for links")

    def __str__(self) -> str:
        return f"{self.address}{self._by()}"


class ClickHouseAddress(Secret):
    """A cluster of shards, each with its replicas' HTTP addresses, in the order of `system.clusters`."""

    shards: list[Shard] = Field(min_length=1)
    database: Name = "default"
    cluster: Name = Field("conversations", description="name in system.clusters")
    user: str = "default"
    secure: bool = False
    connect_timeout_seconds: Timeout = 10
    query_timeout_seconds: Timeout = 600
    delete: Literal["lightweight", "alter"] = "lightweight"
    row_version: Literal["marker"] = Field("marker", description="what workers write; other workers' ways are to come")
    known_views: list[str] = Field([], description="materialized views on the targets that you rebuild yourself")

    @model_validator(mode="after")
    def _each_replica_once(self) -> "ClickHouseAddress":
        refuse_twice([str(r) for s in self.shards for r in s.replicas], "replica")
        return self

    def __str__(self) -> str:
        return ", ".join(str(r) for s in self.shards for r in s.replicas)
