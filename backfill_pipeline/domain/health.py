"""Are a cluster's systems well enough for a delete and its load? Readings in, every reason to wait out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Signal(StrEnum):
    """What is read of a system; the name is also that of its threshold in the configuration."""

    WAITING_LOCKS = "postgres_waiting_locks"
    REPLICA_LAG = "postgres_replica_lag_seconds"
    CONNECTIONS = "postgres_connections_ratio"
    PARTS = "clickhouse_parts_per_partition"
    MUTATIONS = "clickhouse_running_mutations"
    MEMORY = "clickhouse_memory_ratio"
    INACTIVE_REPLICAS = "clickhouse_inactive_replicas"


MEANING: Mapping[Signal, str] = {
    Signal.WAITING_LOCKS: "sessions that wait for a lock",
    Signal.REPLICA_LAG: "seconds that a replica is behind",
    Signal.CONNECTIONS: "share of the connections in use",
    Signal.PARTS: "parts in the fullest partition",
    Signal.MUTATIONS: "mutations under way",
    Signal.MEMORY: "share of the memory in use",
    Signal.INACTIVE_REPLICAS: "replicas that are not active",
}

Thresholds = Mapping[Signal, float | None]
"""What each signal may reach; None is not judged."""


@dataclass(frozen=True)
class Reading:
    """What one server said. value: None is unknown, never zero. why: of an unknown value, or what lies behind it."""

    signal: Signal
    server: str
    value: float | None
    why: str = ""


Signals = tuple[Reading, ...]


@dataclass(frozen=True)
class Health:
    """reasons: all that speak for waiting. judged: each reading with its threshold."""

    reasons: tuple[str, ...]
    judged: tuple[tuple[Reading, float | None], ...]

    @property
    def is_good(self) -> bool:
        return not self.reasons


def judge(signals: Signals, thresholds: Thresholds) -> Health:
    """Every reading above its threshold, every unknown one, and every signal that nobody read."""
    reasons = (*_above(signals, thresholds), *_unknown(signals, thresholds), *_unread(signals, thresholds))
    return Health(reasons, tuple((r, thresholds.get(r.signal)) for r in signals))


def said(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.2f}".rstrip("0").rstrip(".")


def _above(signals: Signals, thresholds: Thresholds) -> Iterator[str]:
    for reading in signals:
        most = thresholds.get(reading.signal)
        # not `>`: what is no number is above every threshold, and not below it
        if most is not None and reading.value is not None and not reading.value <= most:
            yield f"{reading.server}: {MEANING[reading.signal]}: {_compared(reading, most)}{_key([reading.signal])}"


def _compared(reading: Reading, most: float) -> str:
    return f"{said(reading.value)}, above {said(most)}" + (f" ({reading.why})" if reading.why else "")


def _unknown(signals: Signals, thresholds: Thresholds) -> Iterator[str]:
    """A server that says nothing at all is one reason, not one for each signal."""
    silent: dict[tuple[str, str], list[Signal]] = {}
    for r in signals:
        if r.value is None and thresholds.get(r.signal) is not None:
            silent.setdefault((r.server, r.why), []).append(r.signal)
    for (server, why), names in silent.items():
        yield f"{server}: unknown, which is not zero: {_meanings(names)}: {why}{_key(names)}"


def _unread(signals: Signals, thresholds: Thresholds) -> Iterator[str]:
    missing = [s for s in Signal if thresholds.get(s) is not None and s not in {r.signal for r in signals}]
    if missing:
        yield f"nobody read {_meanings(missing)}{_key(missing)}"


def _meanings(names: Iterable[Signal]) -> str:
    return ", ".join(MEANING[n] for n in names)


def _key(names: Iterable[Signal]) -> str:
    """Where the threshold stands: an operator who knows better changes it there."""
    return f" [{', '.join(f'health.{n}' for n in names)}]"
