"""What a command works with: the configuration, and the way to Dagster."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from backfill_pipeline.config import ENV_CONFIG, Config, ConfigError, load
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.stack.state import StackState, entered_stack, running_stack

if TYPE_CHECKING:
    from backfill_pipeline.clients.dagster import DagsterClient

ENV_DAGSTER = "BACKFILL_DAGSTER"


@dataclass(frozen=True)
class Site:
    """dagster: the address of its webserver; None where none is known, for commands that need none."""

    config: Config
    dagster: str | None


def site_of(folder: Path, config: Path | None, dagster: str | None) -> Site:
    """What is given, else what the environment names, else the stack that runs in the folder.

    A Dagster that works with another ledger is never taken: a pause would hold one back and be told of the other.

    Raises:
        ConfigError: the configuration can't be used.
        Refused: none is given, and no stack runs; or Dagster's address is none.
    """
    given = config or (Path(os.environ[ENV_CONFIG]) if ENV_CONFIG in os.environ else None)
    url = _checked(dagster or os.environ.get(ENV_DAGSTER))
    if given:
        loaded, running = load(given), running_stack(folder)
        return Site(loaded, url or (running.dagster_url if running and _is_of(running, given, loaded) else None))
    state = entered_stack(folder)
    return Site(load(state.config_path), url or state.dagster_url)


def _is_of(stack: StackState, file: Path, config: Config) -> bool:
    """Whether this file is what the stack runs with, or names its ledger."""
    if file.resolve() == stack.config_path.resolve():
        return True
    try:
        own = load(stack.config_path, need_secrets=False)
    except ConfigError:
        return False
    return config.ledger is not None and _ledger(config) == _ledger(own)


def _ledger(config: Config) -> tuple[object, ...]:
    """Whoever logs in there."""
    address = config.ledger
    return (address.forward, address.host, address.port, address.database) if address else ()


def dagster_client(site: Site) -> "DagsterClient":
    """A client of its webserver.

    Raises:
        Refused: nobody said where it is.
    """
    from backfill_pipeline.clients.dagster import DagsterClient

    return DagsterClient(_dagster_of(site))


def _checked(url: str | None) -> str | None:
    """Before anybody prints it: addresses stand in output, in errors and in links.

    Raises:
        Refused: it is no address of a webserver, or has a login.
    """
    if not url:
        return None
    if "@" in url:
        raise Refused(
            "Dagster's address takes no login",
            where=f"--dagster or {ENV_DAGSTER} (not shown here)",
            why="everybody would read it in links and errors, and nobody would send it",
            next_step="give http://host:port alone",
        )
    if not _is_address(url):
        raise Refused("Not an address", where=repr(url), why="expected http://host:port", next_step="correct it")
    return url


def _is_address(url: str) -> bool:
    try:
        address = urlsplit(url)
        port = address.port
    except ValueError:  # a bracket that is not closed, a port that is no number or too large
        return False
    return address.scheme in ("http", "https") and bool(address.hostname) and port != 0 and not re.search(r"\s", url)


def _dagster_of(site: Site) -> str:
    if site.dagster is None:
        raise Refused(
            "No address of Dagster is known",
            where="--dagster",
            why=f"neither the option nor {ENV_DAGSTER} is given, and no stack runs that works with this configuration",
            next_step="give --dagster http://host:port, the one that does, or start one: backfill stack --config FILE",
        )
    return site.dagster
