"""The smallest Dagster definitions: what the stack's own tests load, so that they need none of the pipeline's."""

import dagster as dg


@dg.asset
def answer() -> int:
    return 42


@dg.asset
def slow() -> None:
    """Long enough to be found running."""
    import time

    time.sleep(600)


defs = dg.Definitions(assets=[answer, slow], executor=dg.in_process_executor)
