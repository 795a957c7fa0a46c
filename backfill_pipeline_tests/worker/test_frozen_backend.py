"""A backend of PostgreSQL that answers nobody, as one whose storage hangs: stopped by SIGSTOP, while it waits for a lock."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.postgres import APPLICATION, Postgres
from backfill_pipeline.worker.transfer import engine
from backfill_pipeline.worker.transfer.engine import Stopped
from backfill_pipeline_tests.worker import loads, people, targets
from backfill_pipeline_tests.worker.servers import wait_until

_WAITING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = %s
"""


class Asked(loads.Watching):
    """Asks to stop when it is told to."""

    is_asked = False

    def must_stop(self) -> bool:
        return self.is_asked


@contextmanager
def frozen_reads(source: PostgresAddress) -> Iterator[Callable[[], bool]]:
    """Reads of chats wait for a lock; what is given stops their backends, and says whether there is any."""
    stopped: set[int] = set()
    with Postgres(source).connection() as holder, Postgres(source).connection() as eyes:
        holder.execute("BEGIN; LOCK TABLE app.chats IN ACCESS EXCLUSIVE MODE")
        try:
            yield lambda: bool(_stop(eyes, stopped))
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
            holder.execute("ROLLBACK")


def _stop(eyes: "psycopg.Connection[Any]", stopped: set[int]) -> set[int]:
    for (pid,) in eyes.execute(_WAITING, [APPLICATION]).fetchall():
        if pid not in stopped:
            stopped.add(pid)
            os.kill(pid, signal.SIGSTOP)
    return stopped


def test_a_try_whose_backend_is_frozen_does_not_keep_its_place_in_the_worker(
    source: PostgresAddress, target: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A worker takes four tries at once: as many that wait for such reads leave no place to other customers.
    monkeypatch.setattr(engine, "END_SECONDS", 0.5)
    people.fill(source, count=50)
    watch, ended = Asked(), threading.Event()
    with frozen_reads(source) as stop_backends:
        thread = threading.Thread(target=_run, args=(source, target, watch, ended), daemon=True)
        thread.start()
        wait_until(stop_backends, "a read that waits")
        watch.is_asked = True
        assert ended.wait(10), "the try waits for a backend that never answers"
    assert targets.counts(target)["conversation"] == 0
    loads.transfer(source, target).run()
    assert targets.counts(target)["conversation"] == 50


def _run(source: PostgresAddress, target: ClickHouse, watch: Asked, ended: threading.Event) -> None:
    try:
        loads.transfer(source, target, watch=watch).run()
    except Stopped:
        ended.set()
