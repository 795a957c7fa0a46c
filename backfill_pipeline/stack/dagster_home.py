"""Dagster's home folder, and its three processes: code server, webserver, daemon.

The code server is a process of its own: runs are its children, so neither a restart of the daemon nor of the webserver
touches them (dagster-facts, trap 12).
"""

import shutil
import sys
from pathlib import Path

import yaml

from backfill_pipeline.clients.loopback import LOOPBACK
from backfill_pipeline.stack.probes import Answers, Finishes, Probe, Says
from backfill_pipeline.stack.processes import PROJECT, Process

LOCATION = "backfill_pipeline"  # as in the root workspace.yaml and [tool.dg], or `dg` and the UI disagree
CODE_SERVER, WEBSERVER, DAEMON, PREPARE = "code-server", "webserver", "daemon", "prepare-dagster"


def make_home(home: Path, code_server_port: int) -> None:
    """The folder with the project's dagster.yaml, and a workspace that points at the code server."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROJECT / "dagster.yaml", home / "dagster.yaml")
    server = {"host": LOOPBACK, "port": code_server_port, "location_name": LOCATION}
    _workspace(home).write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}), encoding="utf-8")


def processes(
    home: Path, definitions: str, ports: dict[str, int], env: dict[str, str], logs: Path, after: tuple[str, ...]
) -> list[Process]:
    """In the order of their start. `definitions`: the module that the code server loads."""
    workspace = str(_workspace(home))
    code_port, web_port = str(ports[CODE_SERVER]), str(ports[WEBSERVER])
    commands = {
        PREPARE: ("-m", "backfill_pipeline.stack.prepare", "--own"),
        CODE_SERVER: (
            *("-m", "dagster", "api", "grpc", "-m", definitions, "-h", LOOPBACK, "-p", code_port),
            *("--location-name", LOCATION, "--use-python-environment-entry-point"),
        ),
        WEBSERVER: ("-m", "dagster_webserver", "-h", LOOPBACK, "-p", web_port, "-w", workspace),
        DAEMON: ("-m", "dagster._daemon", "run", "-w", workspace),
    }
    ready: dict[str, Probe] = {
        PREPARE: Finishes(),
        CODE_SERVER: Says("Started Dagster code server"),
        WEBSERVER: Answers(f"http://{LOOPBACK}:{web_port}/server_info"),
        DAEMON: Says("Instance is configured with the following daemons"),
    }
    # Prepare goes before the code server, also before its restart. The first to open a new storage makes its tables, and
    # two at once collide; and a run that the daemon has just handed to a new code server must not be taken for dead.
    waits_for = {
        PREPARE: after,
        CODE_SERVER: (*after, PREPARE),
        WEBSERVER: (PREPARE, CODE_SERVER),
        DAEMON: (PREPARE, CODE_SERVER),
    }
    return [
        Process(
            name=name,
            command=(sys.executable, *commands[name]),
            env=env,
            log=logs / f"{name}.log",
            ready=ready[name],
            ready_seconds=120,
            after=waits_for[name],
            due_when_lost=(CODE_SERVER,) if name == PREPARE else (),
        )
        for name in commands
    ]


def _workspace(home: Path) -> Path:
    return home / "workspace.yaml"
