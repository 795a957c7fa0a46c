"""Who disturbs the transfers of some customers, from outside: sessions of somebody else's in PostgreSQL.

They know of a transfer and its range what Temporal tells anybody, and act while the range has too many days.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.sql import SQL, Literal

from backfill_pipeline.clients.temporal import Temporal
from backfill_pipeline.config import Cluster, Config, required
from backfill_pipeline.domain.datasets import CONVERSATIONS
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.domain.windows import Window, parse_rfc3339
from backfill_pipeline.stores.postgres import APPLICATION
from benchmarks.january.site import partition_of, source
from benchmarks.january.story import Kind, Struck

LOOK_SECONDS = 0.1
LOCK_SECONDS = 30  # a lock that is not given by then is asked for anew
STOP_SECONDS = LOCK_SECONDS + 40  # and a look at a Temporal that is away
ANSWER_SECONDS = 5  # more than Temporal waits for news, before a frozen backend answers again
CHATS, SCORECARDS = "app.chats", "director.scorecards"

Session = psycopg.Connection[Any]


class Ranges(threading.Thread):
    """Days of each customer's widest open transfer, looked at again and again; while Temporal is away, as they were."""

    def __init__(self, cluster: Cluster, customers: Sequence[str], window: Window) -> None:
        super().__init__(name=f"ranges of {cluster.name}", daemon=True)
        self._temporal = Temporal(required(cluster.temporal, cluster.name, "temporal"))
        self._customers, self._window = customers, window
        self._days: dict[str, int] = {}
        self.over = threading.Event()

    def days(self, customer: str) -> int:
        return self._days.get(customer, 0)

    def run(self) -> None:
        while not self.over.wait(LOOK_SECONDS):
            try:
                self._days = {c: self._widest(c) for c in self._customers}
            except PipelineError:
                continue
        self._temporal.close()

    def _widest(self, customer: str) -> int:
        assert CONVERSATIONS.workflow is not None
        found = self._temporal.open_on(CONVERSATIONS.workflow.type, customer, self._window)
        ranges = [(parse_rfc3339(f.input.end_time) - parse_rfc3339(f.input.start_time)).days for f in found]
        return max(ranges, default=0)


class Rival(threading.Thread):
    """Strikes one customer's transfers while their range is above what the fault says.

    silence: seconds after which Temporal takes a transfer for dead.
    strikes: how often it held what it wanted. error: what ended it before its time.
    """

    def __init__(self, struck: Struck, cluster: Cluster, ranges: Ranges, silence: float) -> None:
        super().__init__(name=f"{struck.fault.kind} of {struck.customer}", daemon=True)
        self.struck, self._cluster, self._ranges, self._silence = struck, cluster, ranges, silence
        self.strikes = 0
        self.error: BaseException | None = None
        self.over = threading.Event()
        self._strike = self._stall if struck.fault.kind is Kind.STALL else self._deadlock
        self._parts = {table: partition_of(table, struck.customer) for table in (CHATS, SCORECARDS)}

    def run(self) -> None:
        try:
            while not self.over.wait(LOOK_SECONDS / 2):
                if self._is_wanted():
                    self._tried()
        except BaseException as error:
            self.error = error

    def _tried(self) -> None:
        try:
            self._strike()
        except (psycopg.errors.LockNotAvailable, psycopg.OperationalError):
            time.sleep(LOOK_SECONDS)  # PostgreSQL was busy, or restarts

    def _is_wanted(self) -> bool:
        return not self.over.is_set() and self._ranges.days(self.struck.customer) > self.struck.fault.above_days

    def _stall(self) -> None:
        """A maintenance of the customer's part holds all reads of it up, and their backends answer nobody, not even a cancel.

        Without the second the worker itself would say after its patience that nothing moved, before Temporal does.
        """
        with source(self._cluster) as session, source(self._cluster) as eyes, session.transaction():
            self._bounded(session)
            self._lock(session, CHATS)
            self.strikes += 1
            with Frozen(self._silence + ANSWER_SECONDS) as frozen:
                self._wait(lambda: frozen.add(self._held_up(eyes)))

    def _held_up(self, eyes: Session) -> list[int]:
        found = eyes.execute(_HELD_UP, [self._parts[CHATS].as_string(None), APPLICATION]).fetchall()
        return [pid for (pid,) in found]

    def _deadlock(self) -> None:
        """Scorecards first, and chats whenever a transfer that holds those waits for the first: the reverse of its order."""
        with source(self._cluster) as session, source(self._cluster) as eyes, session.transaction():
            self._bounded(session)
            self._lock(session, SCORECARDS)
            while self._wait(lambda: self._is_waited_for(eyes)):
                session.execute("SAVEPOINT before_chats")
                self._lock(session, CHATS)
                session.execute("ROLLBACK TO before_chats")  # gives up the chats alone
                self.strikes += 1

    def _bounded(self, session: Session) -> None:
        """It looks for a deadlock so late that the transfer's session does first: whoever looks is the one that is ended."""
        session.execute("SET LOCAL deadlock_timeout = '10min'")
        session.execute(SQL("SET LOCAL lock_timeout = {}").format(Literal(f"{LOCK_SECONDS}s")))

    def _lock(self, session: Session, table: str) -> None:
        session.execute(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(self._parts[table]))

    def _wait(self, is_there: Callable[[], bool]) -> bool:
        """True once it is there, False once the transfer is over or small enough."""
        while self._is_wanted():
            if is_there():
                return True
            time.sleep(LOOK_SECONDS / 4)
        return False

    def _is_waited_for(self, eyes: Session) -> bool:
        names = [part.as_string(None) for part in (self._parts[SCORECARDS], self._parts[CHATS])]
        return eyes.execute(_WAITS_AND_HOLDS, names).fetchone() is not None


class Frozen:
    """Processes that are stopped for so long, and then go on. All do at the end of the block."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[int, float] = {}

    def add(self, pids: Iterable[int]) -> bool:
        """Stops those that it has not stopped before, and lets those go whose time is over. Never enough: False."""
        now = time.monotonic()
        for pid in set(pids) - self._until.keys():
            self._until[pid] = now + self._seconds
            _sent(pid, signal.SIGSTOP)
        for pid in [pid for pid, until in self._until.items() if until < now]:
            self._until[pid] = float("inf")
            _sent(pid, signal.SIGCONT)
        return False

    def __enter__(self) -> "Frozen":
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self._until:
            _sent(pid, signal.SIGCONT)


def _sent(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


_HELD_UP = """
SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE relation = to_regclass(%s) AND NOT granted AND application_name = %s
"""
_WAITS_AND_HOLDS = """
SELECT FROM pg_locks AS waits JOIN pg_locks AS holds USING (pid)
WHERE waits.relation = to_regclass(%s) AND NOT waits.granted AND holds.relation = to_regclass(%s) AND holds.granted
"""


@contextmanager
def rivals(config: Config, struck: Sequence[Struck], window: Window, silence: float) -> Iterator[Sequence[Rival]]:
    """All rivals at work for as long as the block.

    Raises:
        RuntimeError: one of them ended before its time, or does not end.
    """
    clusters = {s.cluster: config.cluster(s.cluster) for s in struck}
    ranges = {
        name: Ranges(c, [s.customer for s in struck if s.cluster == name], window) for name, c in clusters.items()
    }
    found = [Rival(s, clusters[s.cluster], ranges[s.cluster], silence) for s in struck]
    threads: list[Rival | Ranges] = [*found, *ranges.values()]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        for thread in threads:
            thread.over.set()
        for thread in threads:
            thread.join(STOP_SECONDS)
    if broken := [f"{r.name}: {r.error!r}" for r in found if r.error or r.is_alive()]:
        raise RuntimeError("; ".join(broken))
