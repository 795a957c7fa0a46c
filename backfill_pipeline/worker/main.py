"""The worker of one cluster: runs the reindex workflows and their activities until SIGTERM."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from backfill_pipeline import config
from backfill_pipeline.clients.port_forward.forwarded import forwarded
from backfill_pipeline.config import EXIT_BAD_INPUT, Cluster, ConfigError, Limits
from backfill_pipeline.domain.contracts import REINDEX_QUEUE
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.worker.temporal import connect
from backfill_pipeline.worker.workflows.activities import ReindexActivities
from backfill_pipeline.worker.workflows.reindex_conversations import ReindexConversations
from backfill_pipeline.worker.workflows.reindex_process_scorecards import ReindexProcessScorecards

WORKFLOWS: tuple[type, ...] = (ReindexConversations, ReindexProcessScorecards)
# Each holds `slices_in_flight` slices in memory; more executions than this wait in the queue.
TRANSFERS_AT_ONCE = 4
# A SIGKILL loses what the throttle still holds back, and that much is loaded again (trap T1).
HEARTBEAT_THROTTLE = timedelta(seconds=1)
GRACE = timedelta(seconds=5)
CONNECT_SECONDS = 60.0

log = logging.getLogger("backfill_pipeline.worker")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 after a SIGTERM, 1 where Temporal can't be reached, 2 for bad input."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        configuration = config.load_from_environment()
        with forwarded(configuration.cluster(options.cluster)) as cluster:
            asyncio.run(_run(cluster, configuration.limits))
    except PipelineError as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_INPUT if isinstance(error, ConfigError) else 1
    return 0


def activities_of(cluster: Cluster, limits: Limits) -> ReindexActivities:
    postgres = config.required(cluster.postgres, cluster.name, "postgres")
    clickhouse = config.required(cluster.clickhouse, cluster.name, "clickhouse")
    return ReindexActivities(postgres, clickhouse, limits)


def worker_of(client: Client, activities: ReindexActivities, pool: ThreadPoolExecutor) -> Worker:
    """The worker as it runs everywhere, in tests too."""
    return Worker(
        client,
        task_queue=REINDEX_QUEUE,
        workflows=WORKFLOWS,
        activities=activities.all,
        activity_executor=pool,
        max_concurrent_activities=TRANSFERS_AT_ONCE,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        graceful_shutdown_timeout=GRACE,
    )


async def _run(cluster: Cluster, limits: Limits) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    activities = activities_of(cluster, limits)
    address = config.required(cluster.temporal, cluster.name, "temporal")
    client = await connect(address, CONNECT_SECONDS)
    with ThreadPoolExecutor(TRANSFERS_AT_ONCE, thread_name_prefix="transfer") as pool:
        async with worker_of(client, activities, pool):
            log.info("worker of cluster %s takes from %s at %s", cluster.name, REINDEX_QUEUE, address)
            await stop.wait()
            log.info("ending: transfers under way stop after the insert that they are in")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m backfill_pipeline.worker", description=__doc__)
    parser.add_argument("--cluster", required=True, help="name of a cluster in the file that BACKFILL_CONFIG names")
    return parser.parse_args(arguments)
