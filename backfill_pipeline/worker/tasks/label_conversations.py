"""Cron task `label-conversations`: writes the labels of ended conversations itself, without Temporal.

Input is the environment, as domain.md gives it. Exit code 0: all is written; 1: something failed, and its batch may be
there in part; 2: bad input, nothing was written; 143: ended by SIGTERM between two inserts. A rerun writes the same rows.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from backfill_pipeline import config
from backfill_pipeline.clients.port_forward.forwarded import forwarded
from backfill_pipeline.config import EXIT_BAD_INPUT, Cluster, ConfigError, Customer, Limits
from backfill_pipeline.domain import contracts
from backfill_pipeline.domain.contracts import Labelled
from backfill_pipeline.domain.datasets import LABELS
from backfill_pipeline.domain.errors import PipelineError, Refused
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.worker.tasks.label_order import LabelOrder, is_enabled, label_order_from
from backfill_pipeline.worker.transfer.cursor import Cursor
from backfill_pipeline.worker.transfer.engine import Stopped, Transfer
from backfill_pipeline.worker.transfer.read import total
from backfill_pipeline.worker.transfer.recipes import RECIPES
from backfill_pipeline.worker.transfer.slices import Request
from backfill_pipeline.worker.transfer.versions import version_of

ENV_CLUSTER = "BACKFILL_CLUSTER"
EXIT_SIGTERM = 128 + signal.SIGTERM
EVERY_SECONDS = 2.0
FIRST_TRY = 1


def main() -> int:
    try:
        if not is_enabled(os.environ):
            print(f"{contracts.ENV_LABEL_ENABLED} is false: nothing was labelled", flush=True)
            return 0
        order = label_order_from(os.environ, datetime.now(UTC))
        configuration, stop = config.load_from_environment(), _stop_at_sigterm()
        with forwarded(configuration.cluster(_cluster_name()), ["postgres", "clickhouse"]) as cluster:
            _label(configuration.limits, cluster, order, stop)
        return 0
    except Stopped:
        print("Ended by SIGTERM between two inserts: what was logged is written, the rest is not", file=sys.stderr)
        return EXIT_SIGTERM
    except PipelineError as error:
        print(error, file=sys.stderr, flush=True)
        return EXIT_BAD_INPUT if isinstance(error, ConfigError | Refused) else 1


def _label(limits: Limits, cluster: Cluster, order: LabelOrder, stop: threading.Event) -> None:
    postgres = Postgres(config.required(cluster.postgres, cluster.name, "postgres"))
    clickhouse = ClickHouse(config.required(cluster.clickhouse, cluster.name, "clickhouse"))
    version = version_of(LABELS, order.marker, FIRST_TRY, clickhouse)
    recipe = RECIPES[LABELS.name]
    for whole in _profiles(cluster, order):
        watch = ProgressLines(whole, total(postgres, recipe, whole), stop)
        for start, end in order.batches():
            part = Request(whole.customer, whole.profile, start, end, order.reach)
            Transfer(postgres, clickhouse, recipe, part, version, limits, watch).run()
            watch.next_batch()


def _profiles(cluster: Cluster, order: LabelOrder) -> Iterator[Request]:
    """The whole range of each profile."""
    for customer in _customers(cluster, order):
        for profile in customer.profiles:
            yield Request(customer.id, profile, order.start, order.end, order.reach)


def _customers(cluster: Cluster, order: LabelOrder) -> list[Customer]:
    return cluster.customers if order.customer is None else [cluster.customer(order.customer)]


class ProgressLines:
    """Says on standard output how far a profile is, every few seconds and after each batch; whoever follows reads it."""

    def __init__(self, whole: Request, total: int, stop: threading.Event) -> None:
        self._whole, self._total, self._stop = whole, total, stop
        self._before, self._done, self._next = 0, 0, 0.0

    def alive(self) -> None:
        """Nobody waits for a sign of life: the Job is seen to run."""

    def reached(self, cursor: Cursor) -> None:
        self._done = self._before + cursor.done
        if time.monotonic() >= self._next:
            self._say()

    def next_batch(self) -> None:
        self._before = self._done
        self._say()

    def must_stop(self) -> bool:
        return self._stop.is_set()

    def _say(self) -> None:
        self._next = time.monotonic() + EVERY_SECONDS
        # More may have been loaded than were counted at the beginning.
        line = Labelled(self._whole.customer, self._whole.profile, self._done, max(self._done, self._total))
        print(line.log_line(), flush=True)


def _stop_at_sigterm() -> threading.Event:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    return stop


def _cluster_name() -> str:
    if not os.environ.get(ENV_CLUSTER):
        raise config.missing_variable(ENV_CLUSTER)
    return os.environ[ENV_CLUSTER]


if __name__ == "__main__":
    sys.exit(main())
