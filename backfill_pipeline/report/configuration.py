"""What a configuration says, every key of it, as tables for the terminal. Secrets: only the names of what holds them."""

from collections.abc import Iterator

from rich import box
from rich.table import Table
from rich.text import Text

from backfill_pipeline.config import Cluster, Config, Customer
from backfill_pipeline.reach import Model, Replica

ABSENT = "not given"
LONG = 100_000  # above every port: one with its thousands apart would not be known again


def configuration_tables(config: Config) -> Iterator[Table]:
    """A table of the whole, and per cluster one of its keys and one of its customers."""
    yield _keys("Configuration", config, without="clusters")
    for cluster in config.clusters:
        yield _keys(f"Cluster {cluster.name}", cluster, without="customers")
        yield _customers(cluster)


def _keys(title: str, model: Model, *, without: str) -> Table:
    table = _table(title)
    table.add_column("key", no_wrap=True)
    table.add_column("value", overflow="fold")
    for name, value in model:
        for row in _rows(name, value) if name != without else ():
            table.add_row(*map(Text, row))
    return table


def _rows(key: str, value: object) -> Iterator[tuple[str, str]]:
    """Every key below this one, dotted, with its value; a replica is an address already."""
    if isinstance(value, Model) and not isinstance(value, Replica):
        for name, inner in value:
            yield from _rows(f"{key}.{name}", inner)
    elif isinstance(value, list) and any(isinstance(v, Model) for v in value):
        for n, inner in enumerate(value):
            yield from _rows(f"{key}[{n}]", inner)
    else:
        yield key, _text(value)


def _customers(cluster: Cluster) -> Table:
    executions = sum(len(c.profiles) for c in cluster.customers)
    table = _table(f"Cluster {cluster.name}: {len(cluster.customers)} customers, {executions} executions")
    for name in Customer.model_fields:
        table.add_column(name, overflow="fold")
    for customer in cluster.customers:
        table.add_row(*(Text(_text(value)) for _, value in customer))
    return table


def _text(value: object) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value >= LONG:
        return f"{value:_}"
    return str(value)


def _table(title: str) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
