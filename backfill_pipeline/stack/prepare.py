"""A step of the start, before the daemon and before each restart of the code server: `prepare_instance`.

It runs as a process of its own, as it needs Dagster's environment and a second of imports.
"""

from backfill_pipeline.clients.dagster import prepare_instance
from backfill_pipeline.config import load_from_environment


def main() -> None:
    """Fails runs whose process is gone and sets the pools' limits."""
    prepare_instance(load_from_environment())


if __name__ == "__main__":
    main()
