"""What a command works with: the configuration, and the way to Dagster."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from backfill_pipeline.config import ENV_CONFIG, Config, load
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.stack.state import entered_stack, running_stack

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

    Raises:
        ConfigError: the configuration can't be used.
        Refused: none is given, and no stack runs.
    """
    given = config or (Path(os.environ[ENV_CONFIG]) if ENV_CONFIG in os.environ else None)
    url = dagster or os.environ.get(ENV_DAGSTER)
    if given:
        running = running_stack(folder)
        return Site(load(given), url or (running.dagster_url if running else None))
    state = entered_stack(folder)
    return Site(load(state.config_path), url or state.dagster_url)


def dagster_client(site: Site) -> "DagsterClient":
    """A client of its webserver.

    Raises:
        Refused: nobody said where it is, or that is no address.
    """
    from backfill_pipeline.clients.dagster import DagsterClient

    address = urlsplit(_dagster_of(site))
    if address.scheme not in ("http", "https") or not address.hostname:
        raise Refused(
            "Not an address", where=repr(site.dagster), why="expected http://host:port", next_step="correct it"
        )
    return DagsterClient(address.geturl())


def _dagster_of(site: Site) -> str:
    if site.dagster is None:
        raise Refused(
            "No address of Dagster is known",
            where="--dagster",
            why=f"neither the option nor {ENV_DAGSTER} is given, and no stack runs",
            next_step="give --dagster http://host:port, or start one: backfill stack",
        )
    return site.dagster
