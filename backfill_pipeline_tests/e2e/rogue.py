"""A live writer that writes a wrong row: the fault from outside that makes exactly one day differ."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import clickhouse_connect

from backfill_pipeline_tests.live import Live

_INSERT = """
INSERT INTO conversation
    (customer_id, profile_id, conversation_id, chat_id, conversation_start_time, update_time)
SELECT {customer:String}, 'default', 'rogue', 'rogue', toDateTime64({day:String}, 3, 'UTC') + 3600, now64(6)
"""


@contextmanager
def rogue_writer(live: Live, cluster: str, customer: str, day: date) -> Iterator[None]:
    """While the block runs, a row that PostgreSQL does not have is written again and again, always newer than a marker."""
    stop = threading.Event()
    address = live.state.gateways[cluster][0]

    def write() -> None:
        client = clickhouse_connect.get_client(host=address.host, port=address.port, autogenerate_session_id=False)
        while not stop.wait(0.5):
            client.command(_INSERT, parameters={"customer": customer, "day": f"{day} 00:00:00"})

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()
