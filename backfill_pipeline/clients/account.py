"""Whose account this process has, for what is written down about a person."""

import getpass
import os


def account() -> str:
    """The user's name; their number where the machine knows none, as in a container with a uid of its own."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the latter from Python 3.13 on
        return f"uid {os.getuid()}"
