"""A PostgreSQL session that waits for another one's lock, for as long as a test wants."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline_tests.worker.servers import wait_until

LOCKED = "app.chats"
LOCK_TABLE = f"LOCK TABLE {LOCKED} IN ACCESS EXCLUSIVE MODE"
_WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND waitstart < clock_timestamp() - interval '1.1 seconds'"


@contextmanager
def waiting_session(postgres: Postgres, hold: str = LOCK_TABLE, want: str = LOCK_TABLE) -> Iterator[Callable[[], None]]:
    """Gives the call that lets it go; it has waited for over a second when the block begins."""
    with postgres.connection() as holder:
        holder.execute("BEGIN")
        holder.execute(hold.encode())
        waiter = threading.Thread(target=_want, args=(postgres, want))
        waiter.start()
        try:
            with postgres.connection() as looker:
                wait_until(lambda: looker.execute(_WAITS).fetchone() != (0,), "a session that waits")
            yield lambda: holder.execute("ROLLBACK") and None
        finally:
            holder.execute("ROLLBACK")
            waiter.join(20)


def _want(postgres: Postgres, statement: str) -> None:
    with postgres.connection() as connection, connection.transaction():
        connection.execute(statement.encode())
