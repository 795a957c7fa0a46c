"""A cluster's addresses with their forwards open."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager

from backfill_pipeline.clients.port_forward.holder import Held
from backfill_pipeline.config import Cluster, PostgresAddress
from backfill_pipeline.config.base import Model
from backfill_pipeline.config.reach import Reached, each_reached, reached

PARTS = ("postgres", "clickhouse", "temporal")


@contextmanager
def forwarded(cluster: Cluster, parts: Collection[str] = PARTS) -> Iterator[Cluster]:
    """The cluster as it is reached until the end: addresses with a `forward` have a local port. Without any it costs nothing.

    Args:
        parts: those that are needed; the others stay as they are.

    Raises:
        PipelineError: a forward does not open; the others are closed again.
    """
    addresses: dict[str, Model] = {p: getattr(cluster, p) for p in parts if getattr(cluster, p) is not None}
    with ExitStack() as stack:
        # all are started before the first is waited for
        held = {
            id(r): stack.enter_context(Held(r.forward, _greeting(part, address)))
            for part, address in addresses.items()
            for r in reached(address)
            if r.forward
        }

        def opened(address: Reached) -> Reached:
            return _plain(address.opened(held[id(address)].port())) if id(address) in held else address

        changed = {part: each_reached(address, opened) for part, address in addresses.items()} if held else {}
        yield cluster.model_copy(update=changed) if changed else cluster


def _greeting(part: str, address: Model) -> str:
    if part == "clickhouse":
        return "https" if getattr(address, "secure", False) else "http"
    return "postgres" if part == "postgres" else "grpc"


def _plain(address: Reached) -> Reached:
    """A client that ends TLS with PostgreSQL leaves a reset connection behind, and kubectl then drops all of them
    (kubernetes/kubernetes#111825). The way to the pod is encrypted by itself."""
    if isinstance(address, PostgresAddress) and "sslmode" not in address.model_fields_set:
        return address.model_copy(update={"sslmode": "disable"})
    return address
