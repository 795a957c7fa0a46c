"""Demo data may only ever reach this machine: made-up rows, and a TRUNCATE before them."""

from collections.abc import Iterator
from ipaddress import ip_address

from backfill_pipeline.config import Config, required
from backfill_pipeline.domain.errors import Refused


def refuse_other_machines(config: Config) -> None:
    """Check every address that demo data would be written to.

    Raises:
        Refused: one is not on loopback.
        ConfigError: one is not given.
    """
    for name, host in _hosts(config):
        if not is_loopback(host):
            raise Refused(
                "Demo data is not written to other machines",
                where=f"{name}: {host}",
                why="the address is not on loopback, and what is there would be truncated",
                next_step="name a configuration of the embedded stack (127.0.0.1)",
            )


def _hosts(config: Config) -> Iterator[tuple[str, str]]:
    for cluster in config.clusters:
        yield f"clusters[name={cluster.name}].postgres", required(cluster.postgres, cluster.name, "postgres").host
        shards = required(cluster.clickhouse, cluster.name, "clickhouse").shards
        for replica in (r for s in shards for r in s.replicas):
            yield f"clusters[name={cluster.name}].clickhouse", replica.host


def is_loopback(host: str) -> bool:
    """True for a loopback address, `localhost`, and a socket's directory; names are not looked up."""
    if host == "localhost" or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
