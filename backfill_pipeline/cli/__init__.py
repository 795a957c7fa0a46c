"""`backfill`: thin commands, no logic of their own. Heavy imports wait until their command runs, so that help is quick."""

import sys

from backfill_pipeline.cli import cancel, launch, look, operate, stack
from backfill_pipeline.cli.app import app

COMMANDS = (stack, launch, operate, cancel, look)  # their commands join the app when they are imported

__all__ = ["app", "main"]


def main() -> None:
    """The console script: errors of ours are one paragraph; bad input, or no server at the addresses given, ends with 2."""
    from backfill_pipeline.domain.errors import Kind, PipelineError

    try:
        app()
    except PipelineError as error:
        print(error, file=sys.stderr)
        sys.exit(2 if error.kind in (Kind.STOP, Kind.REFUSED, Kind.UNREACHABLE) else 1)
