"""`backfill`: thin commands, no logic of their own. Heavy imports wait until their command runs, so that help is quick."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from backfill_pipeline.cli import cancel, launch, look, operate, stack
from backfill_pipeline.cli.app import app

if TYPE_CHECKING:
    from backfill_pipeline.domain.errors import PipelineError

COMMANDS = (stack, launch, operate, cancel, look)  # their commands join the app when they are imported

__all__ = ["app", "main"]


def main() -> None:
    """The console script: errors of ours are one paragraph; bad input, or no server at the addresses given, ends with 2."""
    try:
        _written(_told)
    except OSError as error:
        if isinstance(error, BrokenPipeError) or not _is_of_output(error):
            raise
        print(_unwritten(error), file=sys.stderr)
        sys.exit(1)


def _told() -> None:
    from backfill_pipeline.domain.errors import Kind, PipelineError

    try:
        app()
    except PipelineError as error:
        print(error, file=sys.stderr)
        sys.exit(2 if error.kind in (Kind.STOP, Kind.REFUSED, Kind.UNREACHABLE) else 1)


def _written(command: Callable[[], None]) -> None:
    """Short output is written when a command is over: what fails then is told, too, unless its reader went away."""
    try:
        command()
    except SystemExit:
        with suppress(BrokenPipeError):
            print(end="", flush=True)  # where there is no output at all, this is nothing
        raise


def _is_of_output(error: OSError) -> bool:
    """Whether a line more gives the same error: another one is of a file of the command's."""
    try:
        print(flush=True)
    except OSError as again:
        return again.errno == error.errno
    return False


def _unwritten(error: OSError) -> "PipelineError":
    from backfill_pipeline.domain.errors import PipelineError

    # Python flushes once more when it ends, and would tell of it in its own words.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PipelineError(
        "The output can't be written",
        where="standard output",
        why=error.strerror or str(error),
        next_step="send it elsewhere, or make room",
    )
