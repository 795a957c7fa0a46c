"""A step of the start, before the daemon and before each restart of the code server: `prepare_instance`.

It runs as a process of its own, as it needs Dagster's environment and a second of imports.
"""

from backfill_pipeline.clients.dagster_instance import prepare_instance
from backfill_pipeline.config import load_from_environment
from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.pauses import paused_clusters


def main() -> None:
    """Fails runs whose process is gone and sets the pools' limits; a pause outlives a restart."""
    config = load_from_environment()
    prepare_instance(config, paused_clusters(open_ledger(config)))


if __name__ == "__main__":
    main()
