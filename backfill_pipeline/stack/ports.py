"""Free loopback ports: chosen once, kept, and changed only when somebody else has taken one."""

import random
from collections.abc import Iterable, Mapping

from backfill_pipeline.clients.loopback import LOOPBACK, is_free
from backfill_pipeline.domain.errors import PipelineError

# Below the range for outgoing connections: no client's own socket can take the port of a part that restarts.
FIRST, LAST = 20_000, 29_999
TRIES = 200


def choose_ports(names: Iterable[str], kept: Mapping[str, int]) -> dict[str, int]:
    """A free port for each name, the one in `kept` where it is still free.

    Raises:
        PipelineError: no port of the range is free.
    """
    chosen: dict[str, int] = {}
    for name in names:
        chosen[name] = _first_free(_candidates(kept.get(name)), set(chosen.values()))
    return chosen


def _candidates(kept: int | None) -> list[int]:
    drawn = random.sample(range(FIRST, LAST), TRIES)
    return drawn if kept is None else [kept, *drawn]


def _first_free(candidates: list[int], taken: set[int]) -> int:
    for port in candidates:
        if port not in taken and is_free(port):
            return port
    raise PipelineError(
        "No free port for a part of the stack",
        where=f"{LOOPBACK}:{FIRST}-{LAST}",
        why=f"{TRIES} ports were tried and all are taken",
        next_step="end what listens there (`ss -ltnp`) and start again",
    )
