"""What a configuration says, as tables for the terminal. Secrets: only the names of what holds them."""

from collections.abc import Iterator

from rich import box
from rich.table import Table

from backfill_pipeline.config import Cluster, Config

ABSENT = "not given"


def configuration_tables(config: Config) -> Iterator[Table]:
    """A table of the whole, and one per cluster."""
    whole = _table("Configuration", "key", "value")
    whole.add_row("datasets", ", ".join(config.datasets))
    whole.add_row("ledger", str(config.ledger or ABSENT))
    for name, value in config.limits.model_dump().items():
        whole.add_row(f"limits.{name}", f"{value:,}")
    yield whole
    yield from map(_cluster, config.clusters)


def _cluster(cluster: Cluster) -> Table:
    customers = f"{len(cluster.customers)} customers, {sum(len(c.profiles) for c in cluster.customers)} executions"
    table = _table(f"Cluster {cluster.name}: {customers}", "key", "value")
    for name in ("postgres", "clickhouse"):
        address = getattr(cluster, name)
        table.add_row(name, f"{address}{_secret(address)}" if address else ABSENT)
    temporal = cluster.temporal
    table.add_row("temporal", f"{temporal.address}, namespace {temporal.namespace}" if temporal else ABSENT)
    table.add_row("launcher", f"{cluster.launcher.kind}, manifests in {cluster.launcher.manifests}")
    table.add_row("first day", f"{cluster.first_day}, at most {cluster.max_runs} runs at once")
    for customer in cluster.customers:
        table.add_row(customer.id, f"profiles {', '.join(customer.profiles)}; {customer.window_days} days a run")
    return table


def _secret(address: object) -> str:
    held_by = getattr(address, "password_env", None) or getattr(address, "password_file", None)
    return f" (password in {held_by})" if held_by else ""


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
