"""The configuration: clusters, their customers, datasets."""

from collections.abc import Iterator
from datetime import date

from pydantic import Field, ValidationInfo, field_validator, model_validator

from backfill_pipeline.config.addresses import Alerts, ClickHouseAddress, PostgresAddress, Secret, TemporalAddress
from backfill_pipeline.config.base import ConfigError, Days, Id, M, Model, Whole, named, refuse_twice
from backfill_pipeline.config.health import HealthLimits
from backfill_pipeline.config.limits import Limits, Verification
from backfill_pipeline.config.reach import Launcher, each_reached, reached
from backfill_pipeline.config.strict_yaml import Place
from backfill_pipeline.domain.datasets import DATASETS


class Customer(Model):
    id: Id
    profiles: list[Id] = Field(["default"], min_length=1)
    window_days: Days = Field(10, description="days of one run, one delete, one Job")
    owner: str | None = Field(
        None,
        pattern=r"^(team:[A-Za-z0-9_-]+|[^@\s]+@[^@\s]+)$",
        description="team:name or an e-mail address, shown in the UI",
    )


class Cluster(Model):
    name: Id
    customers: list[Customer] = Field(min_length=1)
    first_day: date = date(2026, 1, 1)
    retention_days: Whole | None = Field(
        None, ge=1, le=36_600, description="PostgreSQL keeps no older rows; older windows refuse"
    )
    max_runs: Whole = Field(2, ge=1, le=1000, description="runs at once on this cluster; Dagster's pools take no more")
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
        refuse_twice([c.id for c in self.customers], f"customer of cluster {self.name}")
        for customer in self.customers:
            refuse_twice(customer.profiles, f"profile of customer {customer.id}")
        return self

    def customer(self, customer_id: str) -> Customer:
        return named(self.customers, "id", customer_id, "customer")


class Config(Model):
    clusters: list[Cluster] = Field(min_length=1)
    datasets: list[str] = Field(["conversations"], min_length=1)
    ledger: PostgresAddress | None = None
    limits: Limits = Limits()
    health: HealthLimits = HealthLimits()
    verification: Verification = Verification()
    alerts: Alerts = Alerts()

    @field_validator("ledger")
    @classmethod
    def _ledger_is_reached_directly(cls, ledger: PostgresAddress | None) -> PostgresAddress | None:
        if ledger and ledger.forward:
            raise ValueError("forward: only for addresses of a cluster; all of Dagster's processes hold to the ledger")
        return ledger

    @field_validator("datasets")
    @classmethod
    def _datasets_are_known_and_unique(cls, datasets: list[str]) -> list[str]:
        refuse_twice(datasets, "dataset")
        unknown = sorted(set(datasets) - set(DATASETS))
        if unknown:
            raise ValueError(f"unknown dataset {', '.join(unknown)}; expected some of {', '.join(DATASETS)}")
        return datasets

    @field_validator("clusters")
    @classmethod
    def _clusters_are_unique(cls, clusters: list[Cluster]) -> list[Cluster]:
        refuse_twice([c.name for c in clusters], "cluster")
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
        return named(self.clusters, "name", name, "cluster")

    def secrets(self) -> Iterator[tuple[Place, Secret | Alerts]]:
        """Everything that may need a secret, with its place in the file."""
        yield ("alerts",), self.alerts
        if self.ledger:
            yield ("ledger",), self.ledger
        for n, cluster in enumerate(self.clusters):
            addresses = {"postgres": cluster.postgres, "clickhouse": cluster.clickhouse}
            yield from ((("clusters", n, name), a) for name, a in addresses.items() if a)


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
