"""Whose account this process has, for what is written down about a person."""

import getpass
import os

from backfill_pipeline.domain.texts import one_line


def account() -> str:
    """The user's name; their number where the machine knows none, as in a container with a uid of its own."""
    try:
        name = one_line(getpass.getuser())  # a variable of the environment, mostly, which may hold anything
    except (KeyError, OSError):  # the latter from Python 3.13 on
        name = ""
    return name or f"uid {os.getuid()}"
