"""What a running stack says about itself: addresses and processes, in `<folder>/stack.json`, without secrets."""

import json
import os
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from backfill_pipeline.config import ENV_CONFIG
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.stack.password import ENV_PASSWORD, ensure_password

FILE = "stack.json"
CLOCK_STEP_SECONDS = 2.0  # a start time is counted from the boot, which moves when the clock is set
# What the root dagster.yaml asks for; set by hand, they name a Dagster storage of your own.
ENV_STORAGE = "DAGSTER_PG_HOST"


class Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class HostPort(Model):
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class ProcessId(Model):
    """A process for sure: its number is used again after it ends, number and start time together are not."""

    pid: int
    started: float  # seconds since the epoch, as the system counts it

    @classmethod
    def of(cls, pid: int) -> "ProcessId":
        return cls(pid=pid, started=psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process itself, None if it has ended."""
        try:
            process = psutil.Process(self.pid)
            alive = (
                abs(process.create_time() - self.started) < CLOCK_STEP_SECONDS
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.NoSuchProcess:
            return None
        return process if alive else None


class TemporalState(Model):
    address: str
    ui: str


class StackState(Model):
    """Addresses and processes of a stack.

    id: what every process of this stack carries in its environment, so that none is ever lost.
    ready: all parts have answered; False while it starts and after it stopped.
    ports: every port by name; tried again at the next start.
    """

    id: str
    folder: Path
    config_path: Path
    dagster_home: Path
    ready: bool = False
    supervisor: ProcessId | None = None
    processes: dict[str, ProcessId] = {}
    restarts: dict[str, int] = {}
    ports: dict[str, int] = {}
    postgres: HostPort | None = None
    gateways: dict[str, list[HostPort]] = {}
    temporal: dict[str, TemporalState] = {}
    dagster_url: str | None = None

    @property
    def pids(self) -> dict[str, int]:
        return {name: p.pid for name, p in self.processes.items()}

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def environment(self) -> dict[str, str]:
        """The variables that a process needs to work with this stack. Holds secrets: never print or store it."""
        env = {ENV_CONFIG: str(self.config_path), "DAGSTER_HOME": str(self.dagster_home)}
        if self.postgres is None:
            return env
        password = ensure_password(self.folder)
        return env | {ENV_PASSWORD: password} | _dagster_storage(self.postgres, password)

    def write(self) -> None:
        fresh = self.folder / f"{FILE}.new"
        fresh.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        fresh.rename(self.folder / FILE)


def _dagster_storage(postgres: HostPort, password: str) -> dict[str, str]:
    if os.environ.get(ENV_STORAGE):
        return {}  # a storage of the user's own; its variables are in the environment already
    return {
        ENV_STORAGE: postgres.host,
        "DAGSTER_PG_PORT": str(postgres.port),
        "DAGSTER_PG_USER": "postgres",
        "DAGSTER_PG_PASSWORD": password,
        "DAGSTER_PG_DATABASE": "dagster",
    }


def last_state(folder: Path) -> StackState | None:
    """What stack.json says, whether that stack still runs or not; None if there is none that can be read."""
    try:
        return StackState.model_validate(json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError):
        return None


def running_stack(folder: Path) -> StackState | None:
    """The stack that runs in this folder and has answered, None if there is none."""
    state = last_state(folder.resolve())
    if state is None or state.supervisor is None or not state.ready:
        return None
    return state if state.supervisor.process() else None


def entered_stack(folder: Path) -> StackState:
    """The stack that runs in this folder; from here on this process works with it.

    Raises:
        Refused: none runs there.
    """
    state = running_stack(folder)
    if state is None:
        raise _no_stack(folder)
    os.environ.update(state.environment())
    return state


def _no_stack(folder: Path) -> Refused:
    is_there = last_state(folder.resolve()) is not None
    return Refused(
        "No stack runs there" if is_there else "There is no stack in that folder",
        where=str(folder),
        why=f"its {FILE} says so" if is_there else f"it has no {FILE} that can be read",
        next_step=f"start one: backfill demo --keep; or name a configuration: --config, or {ENV_CONFIG}",
    )
