"""The configuration file: YAML or JSON in, typed models out, errors that name file, line and key.

Secrets never stand in the file: only the name of the environment variable (or the path of the file) that holds them.
The form of the older scripts (`clusters[].name`, `clusters[].customers[].{id, profile}`) loads unchanged.
"""

import os
import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator, model_validator

from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.errors import PipelineError, Refused
from backfill_pipeline.domain.naming import ID_FORM, check_id
from backfill_pipeline.older_form import from_older_form
from backfill_pipeline.reach import (
    Host,
    Launcher,
    M,
    Model,
    Reached,
    Shard,
    TemporalAddress,
    each_reached,
    reached,
)
from backfill_pipeline.strict_yaml import Place, StrictLoader, said_of

ENV_CONFIG = "BACKFILL_CONFIG"
EXIT_BAD_INPUT = 2


class ConfigError(PipelineError):
    """The configuration can't be used; the command line ends with exit code 2."""


def _id(text: str) -> str:
    try:
        return check_id(text, "id")
    except Refused:
        raise ValueError(f"expected an id of the form {ID_FORM}") from None


Id = Annotated[str, AfterValidator(_id)]


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
        return _read(self.password_file).strip() if self.password_file else None

    def lacks(self) -> Iterator[tuple[str, str]]:
        """The keys whose variable or file is not there, each with what is wrong."""
        if self.password_env and self.password_env not in os.environ:
            yield "password_env", f"{self.password_env} is not set"
        file = self.password_file
        if file and not (os.path.isfile(file) and os.access(file, os.R_OK)):
            yield "password_file", f"{file} is no file that can be read"


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
Seconds = Annotated[int, Field(gt=0)]


class PostgresAddress(Reached, Secret):
    """One PostgreSQL database; `host` may be a socket's directory."""

    host: Host = Field("", validate_default=True)
    port: int = Field(5432, ge=1, le=65535, validate_default=True)
    database: Name
    user: str = "postgres"
    sslmode: str = "prefer"
    connect_timeout_seconds: Seconds = 10
    statement_timeout_seconds: Seconds = 600

    def __str__(self) -> str:
        return f"postgresql://{self.host}:{self.port}/{self.database}{self._by()}"


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
        _refuse_twice([str(r) for s in self.shards for r in s.replicas], "replica")
        return self

    def __str__(self) -> str:
        return ", ".join(str(r) for s in self.shards for r in s.replicas)


class Limits(Model):
    max_window_days: int = Field(31, ge=1, le=366)
    max_rows_without_approval: int = Field(
        20_000_000, ge=1, description="source rows of a window; above: tag `approved/rows`"
    )
    min_source_ratio: float = Field(0.9, ge=0, le=1, description="source ids below this share of the target's refuse")
    lease_seconds: float = Field(60, gt=0)
    clock_skew_seconds: float = Field(5, ge=0, le=3600)
    delete_deadline_seconds: float = Field(3600, gt=0)
    job_deadline_seconds: float = Field(6 * 3600, gt=0)
    follow_deadline_seconds: float = Field(24 * 3600, gt=0)
    poll_seconds: float = Field(1.0, gt=0)
    longest_conversation_hours: float = Field(
        24, gt=0, le=24 * 366, description="labels look so far back for conversations that ended in a window"
    )
    slice_conversations: int = Field(
        20_000, ge=1, description="conversations read at once, with all that hangs on them"
    )
    slices_in_flight: int = Field(2, ge=1, le=8)
    retry_attempts: int = Field(3, ge=0, description="automatic retries of a failed day")
    retry_delay_seconds: float = Field(60, ge=0, description="before the first retry; doubles with each")


class Verification(Model):
    """The schedule that verifies without touching anything."""

    cron: str = Field("0 6 * * *", pattern=r"^([\d*/,-]+ ){4}[\dA-Za-z*/,-]+$", description="five fields, in UTC")
    days: int = Field(7, ge=1, le=366, description="up to yesterday")

    @field_validator("cron")
    @classmethod
    def _is_a_time(cls, cron: str) -> str:
        fields = zip(cron.split(" "), (59, 23, 31, 12, 7), strict=True)
        above = [f"{n} (at most {most})" for field, most in fields for n in re.findall(r"\d+", field) if int(n) > most]
        if above:
            raise ValueError(f"no time of a day has {', '.join(above)}")
        return cron


class Customer(Model):
    id: Id
    profiles: list[Id] = Field(["default"], min_length=1)
    window_days: int = Field(10, ge=1, le=366, description="days of one run, one delete, one Job")
    owner: str | None = Field(
        None,
        pattern=r"^(team:[A-Za-z0-9_-]+|[^@\s]+@[^@\s]+)$",
        description="team:name or an e-mail address, shown in the UI",
    )


class Cluster(Model):
    name: Id
    customers: list[Customer] = Field(min_length=1)
    first_day: date = date(2026, 1, 1)
    retention_days: int | None = Field(None, ge=1, description="PostgreSQL keeps no older rows; older windows refuse")
    max_runs: int = Field(2, ge=1, description="runs at once on this cluster")
    launcher: Launcher = Launcher()  # before the addresses, whose forwards take what they leave out from it
    postgres: PostgresAddress | None = None
    clickhouse: ClickHouseAddress | None = None
    temporal: TemporalAddress | None = None

    @field_validator("postgres", "clickhouse", "temporal")
    @classmethod
    def _forwards_are_complete(cls, address: M | None, info: ValidationInfo) -> M | None:
        launcher = info.data.get("launcher")
        return each_reached(address, lambda a: a.completed(launcher)) if address and launcher else address

    @model_validator(mode="after")
    def _customers_are_unique(self) -> "Cluster":
        _refuse_twice([c.id for c in self.customers], f"customer of cluster {self.name}")
        for customer in self.customers:
            _refuse_twice(customer.profiles, f"profile of customer {customer.id}")
        return self

    def customer(self, customer_id: str) -> Customer:
        return _named(self.customers, "id", customer_id, "customer")


class Config(Model):
    clusters: list[Cluster] = Field(min_length=1)
    datasets: list[str] = Field(["conversations"], min_length=1)
    ledger: PostgresAddress | None = None
    limits: Limits = Limits()
    verification: Verification = Verification()

    @field_validator("ledger")
    @classmethod
    def _ledger_is_reached_directly(cls, ledger: PostgresAddress | None) -> PostgresAddress | None:
        if ledger and ledger.forward:
            raise ValueError("forward: only for addresses of a cluster; all of Dagster's processes hold to the ledger")
        return ledger

    @field_validator("datasets")
    @classmethod
    def _datasets_are_known_and_unique(cls, datasets: list[str]) -> list[str]:
        _refuse_twice(datasets, "dataset")
        unknown = sorted(set(datasets) - set(DATASETS))
        if unknown:
            raise ValueError(f"unknown dataset {', '.join(unknown)}; expected some of {', '.join(DATASETS)}")
        return datasets

    @field_validator("clusters")
    @classmethod
    def _clusters_are_unique(cls, clusters: list[Cluster]) -> list[Cluster]:
        _refuse_twice([c.name for c in clusters], "cluster")
        return clusters

    @model_validator(mode="after")
    def _windows_are_allowed(self) -> "Config":
        most = self.limits.max_window_days
        wide = [
            f"{c.id} ({c.window_days})" for cluster in self.clusters for c in cluster.customers if c.window_days > most
        ]
        if wide:
            raise ValueError(f"window_days above limits.max_window_days ({most}): {', '.join(wide)}")
        return self

    def cluster(self, name: str) -> Cluster:
        return _named(self.clusters, "name", name, "cluster")

    def secrets(self) -> Iterator[tuple[Place, Secret]]:
        """Every address that may need a password, with its place in the file."""
        if self.ledger:
            yield ("ledger",), self.ledger
        for n, cluster in enumerate(self.clusters):
            addresses = {"postgres": cluster.postgres, "clickhouse": cluster.clickhouse}
            yield from ((("clusters", n, name), a) for name, a in addresses.items() if a)


def load(path: str | Path, *, need_secrets: bool = True) -> Config:
    """The configuration of a file.

    Args:
        path: YAML or JSON.
        need_secrets: also check that every variable or file that it names for a secret is there.

    Raises:
        ConfigError: naming file, line and key, and what was expected there.
    """
    path = Path(path)
    text = _read(path)
    tree = _parsed(path, text)
    try:
        config = Config.model_validate(from_older_form(tree))
    except ValidationError as error:
        raise _all_named(path, text, error) from None
    if need_secrets:
        check_secrets(path, config)
    return config


def check_secrets(path: Path, config: Config) -> None:
    """Whether every variable or file that the configuration names for a secret is there.

    Raises:
        ConfigError: naming all that are not, each with file, line and key.
    """
    missing = [((*place, key), lack) for place, secret in config.secrets() for key, lack in secret.lacks()]
    if missing:
        text = _read(path)
        raise _secrets_missing([said_of(path, text, place, lack) for place, lack in missing])


def load_from_environment() -> Config:
    """The file that `BACKFILL_CONFIG` names.

    Raises:
        ConfigError: the variable is not set, or what `load` raises.
    """
    if ENV_CONFIG not in os.environ:
        raise missing_variable(ENV_CONFIG)
    return load(os.environ[ENV_CONFIG])


def missing_variable(name: str) -> ConfigError:
    return ConfigError(
        f"The environment variable {name} is not set",
        where="environment",
        why="the configuration needs it",
        next_step=f"export {name}=...",
    )


def required(value: M | None, cluster: str, what: str) -> M:
    """An address that this command can't do without.

    Raises:
        ConfigError: the configuration does not give it, or it leads nowhere before its port-forward is opened.
    """
    if value is None:
        raise ConfigError(
            f"The configuration gives no {what} address",
            where=f"clusters[name={cluster}].{what}" if cluster else what,
            why="this command must reach it",
            next_step=f"add `{what}:` to the configuration",
        )
    if any(r.waits for r in reached(value)):
        raise ConfigError(
            f"The {what} address is behind a port-forward that is not open",
            where=str(value),
            why="this command opens none",
            next_step="give it an address that it reaches directly",
        )
    return value


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(str(path), str(error)) from None


def _parsed(path: Path, text: str) -> Any:
    try:
        tree = yaml.load(text, Loader=StrictLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise _unreadable(f"{path}{line}", str(getattr(error, "problem", error))) from None
    except RecursionError:
        raise _unreadable(str(path), "it is nested too deeply") from None
    if not isinstance(tree, dict):
        raise _unreadable(f"{path}:1", "expected a mapping with `clusters`")
    return tree


def _unreadable(where: str, why: str) -> ConfigError:
    return ConfigError(
        "The configuration can't be read", where=where, why=why, next_step="correct the file; see config.example.yaml"
    )


def _refuse_twice(names: list[str], what: str) -> None:
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f"{what} given twice: {', '.join(twice)}; expected each once")


def _named(models: list[M], attribute: str, name: str, what: str) -> M:
    for model in models:
        if getattr(model, attribute) == name:
            return model
    known = ", ".join(str(getattr(m, attribute)) for m in models)
    raise ConfigError(
        f"Unknown {what}", where=repr(name), why=f"the configuration knows {known}", next_step="name one of these"
    )


def _secrets_missing(found: list[str]) -> ConfigError:
    return ConfigError(
        f"The configuration names {len(found)} secret{'s' * (len(found) > 1)} that can't be had here",
        where="; ".join(found),
        why="what is not there is never taken for an empty password",
        next_step="export these variables and put these files in place",
    )


def _all_named(path: Path, text: str, error: ValidationError) -> ConfigError:
    found = [said_of(path, text, e["loc"], _expected(e)) for e in error.errors()]
    return ConfigError(
        f"The configuration has {len(found)} mistake{'s' * (len(found) > 1)}",
        where="; ".join(found),
        why="it does not fit the model",
        next_step="correct these keys; config.example.yaml shows all that there are",
    )


def _expected(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key"
    return str(error["msg"]).removeprefix("Value error, ")
