"""What the retry sensor remembers from one tick to the next: its cursor, as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from backfill_pipeline.domain.alerts import Alert
from backfill_pipeline.domain.breaker import WindowEnd

UNSENT = 100  # alerts that wait for their webhook; older ones are in the log of the look that they came with


@dataclass(frozen=True)
class Memory:
    """seen_until: runs that ended before are known; the next look asks from there. emptied: attempts that an alert told.

    looks: how many there were. stopped: clusters that an alert told, each with when it was stopped.
    ahead: runs that are known though they ended in the future, by their machine's clock, and when: they are read again
    until then.
    """

    looks: int = 0
    seen_until: datetime | None = None
    ends: Mapping[str, tuple[WindowEnd, ...]] = field(default_factory=dict)
    emptied: tuple[str, ...] = ()
    stopped: Mapping[str, datetime] = field(default_factory=dict)
    unsent: tuple[Alert, ...] = ()
    ahead: Mapping[str, datetime] = field(default_factory=dict)

    @classmethod
    def of(cls, cursor: str | None) -> "Memory":
        """Nothing where there is no cursor, or one of another version: all runs are then read again.

        That is safe: nothing is decided before the last of them is read.
        """
        try:
            return _JSON.validate_json(cursor) if cursor else cls()
        except ValidationError:
            return cls()

    def cursor(self) -> str:
        return _JSON.dump_json(self).decode()


_JSON = TypeAdapter(Memory)
