"""Dagster's pools get their limits. A step of the start of the stack, and a command for a Dagster that stands elsewhere.

It runs as a process of its own, as it needs Dagster's environment and a second of imports.
"""

import sys

import dagster as dg

from backfill_pipeline.clients.dagster_instance import fail_dead_runs, set_pool_limits
from backfill_pipeline.config import load_from_environment
from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.pauses import paused_clusters

OWN = "--own"  # this Dagster runs nothing but what this machine started: whose process is not here is dead


def main() -> None:
    """Limits, also those of paused clusters: a pause outlives a restart. With `--own`, first fails dead runs."""
    config = load_from_environment()
    with dg.DagsterInstance.get() as instance:
        if OWN in sys.argv[1:]:
            fail_dead_runs(instance)
        set_pool_limits(instance, config, paused_clusters(open_ledger(config)))


if __name__ == "__main__":
    main()
