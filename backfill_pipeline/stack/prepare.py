"""A step of the start, before the daemon and after each restart of the code server: `prepare_instance`.

It runs as a process of its own, as it needs Dagster's environment and a second of imports.
"""

from importlib import import_module
from importlib.util import find_spec

from backfill_pipeline.config import load_from_environment

MODULE = "backfill_pipeline.clients.dagster"


def main() -> None:
    """Fails runs whose process is gone and sets the pools' limits."""
    config = load_from_environment()
    if find_spec(MODULE) is None:  # being written: to be removed with it
        return
    import_module(MODULE).prepare_instance(config)


if __name__ == "__main__":
    main()
