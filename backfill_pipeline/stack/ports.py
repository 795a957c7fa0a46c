"""Free loopback ports: chosen once, kept, and changed only when somebody else has taken one."""

import random
import socket
from collections.abc import Iterable, Mapping
from contextlib import ExitStack

from backfill_pipeline.domain.errors import PipelineError

LOOPBACK = "127.0.0.1"
# Below the range for outgoing connections: no client's own socket can take the port of a part that restarts.
FIRST, LAST = 20_000, 29_999
TRIES = 200


def choose_ports(names: Iterable[str], kept: Mapping[str, int]) -> dict[str, int]:
    """A free port for each name, the one in `kept` where it is still free.

    Raises:
        PipelineError: no port of the range is free.
    """
    with ExitStack() as held:  # held till all are chosen, so that no two names get the same one
        return {name: _first_free(_candidates(kept.get(name)), held) for name in names}


def is_free(port: int) -> bool:
    with ExitStack() as held:
        return _hold(port, held)


def _candidates(kept: int | None) -> list[int]:
    drawn = random.sample(range(FIRST, LAST), TRIES)
    return drawn if kept is None else [kept, *drawn]


def _first_free(candidates: list[int], held: ExitStack) -> int:
    for port in candidates:
        if _hold(port, held):
            return port
    raise PipelineError(
        "No free port for a part of the stack",
        where=f"{LOOPBACK}:{FIRST}-{LAST}",
        why=f"{TRIES} ports were tried and all are taken",
        next_step="end what listens there (`ss -ltnp`) and start again",
    )


def _hold(port: int, held: ExitStack) -> bool:
    """Binds as servers do, so a port whose last connections are in TIME_WAIT counts as free."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        holder.bind((LOOPBACK, port))
    except OSError:
        holder.close()
        return False
    held.enter_context(holder)
    return True
