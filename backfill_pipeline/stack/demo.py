"""`make demo`: data with planted defects, a before table, one backfill through Dagster's own daemon, an after table."""

import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from backfill_pipeline.clients.dagster import BackfillState, DagsterClient
from backfill_pipeline.config import Config, load
from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.verdicts import DayVerdict
from backfill_pipeline.domain.windows import ONE_DAY, Window
from backfill_pipeline.report.tables import verdict_table
from backfill_pipeline.stack.addresses import print_addresses
from backfill_pipeline.stack.background import start_in_background
from backfill_pipeline.stack.demo_data import FIRST_DAY, generate
from backfill_pipeline.stack.state import StackState, running_stack
from backfill_pipeline.stack.supervisor import Stack
from backfill_pipeline.steps.systems import Systems, open_systems
from backfill_pipeline.steps.verify import find_coverage, find_doubled, verify
from backfill_pipeline.stores.target import rows_since

DEADLINE_SECONDS = 3600


@dataclass(frozen=True)
class Demo:
    """What the demo is made of. size 1.0: 150 conversations per customer and day, 3,000 for the large one."""

    folder: Path
    size: float = 1.0
    seed: int = 7
    days: int = 10
    keep: bool = False
    launcher: str = "local"

    @property
    def window(self) -> Window:
        return Window(FIRST_DAY, FIRST_DAY + ONE_DAY * self.days)


Who = tuple[str, str, str]
"""(dataset, cluster, customer)."""


@dataclass(frozen=True)
class Seen:
    """Verdicts of every customer and dataset, and how many ids have more than one row."""

    verdicts: Mapping[Who, tuple[DayVerdict, ...]]
    doubled: int
    uncovered: int

    @property
    def is_right(self) -> bool:
        return not self.doubled and all(d.verdict.is_good for days in self.verdicts.values() for d in days)

    @property
    def source_rows(self) -> int:
        sides = (d.source for days in self.verdicts.values() for d in days)
        return sum(s.rows for side in sides if side for s in side.values())


def run(demo: Demo, console: Console) -> int:
    """The whole demo; 0 only if every day is MATCH (or empty on both sides) and no duplicate is left."""
    started, running_before = time.monotonic(), running_stack(demo.folder) is not None
    with _stack(demo, console) as state:
        code = _shown(demo, state, console, started, running_before)
        if demo.keep:
            print_addresses(state, console)
            console.print(
                f"the stack stays; end it with: backfill stop --folder {shlex.quote(str(demo.folder))}", soft_wrap=True
            )
    return code


@contextmanager
def _stack(demo: Demo, console: Console) -> Iterator[StackState]:
    """The stack that already runs in the folder, or one of our own, which ends with the demo unless it is kept."""

    def say(line: str) -> None:
        console.print(f"[dim]{line}[/dim]", highlight=False)

    running = running_stack(demo.folder)
    if running or demo.keep:
        yield running or start_in_background(demo.folder, progress=say, launcher=demo.launcher)
        return
    with Stack(demo.folder, progress=say, launcher=demo.launcher) as state:
        yield state


def _shown(demo: Demo, state: StackState, console: Console, started: float, running_before: bool) -> int:
    os.environ.update(state.environment())
    config = load(state.config_path)
    if running_before:
        console.print("this stack's data is made anew, defects included, and what was in it is gone")
    with console.status("making data with planted defects"):
        generate(config, seed=demo.seed, size=demo.size, days=demo.days, folder=demo.folder)
    before = _looked(config, demo, console, "Before")
    backfill_id, seconds = _backfilled(config, demo, state, console, before.source_rows)
    after = _looked(config, demo, console, "After")
    console.print(
        f"backfill of {before.source_rows:,} rows in {seconds:.0f} s; all in {time.monotonic() - started:.0f} s"
    )
    console.print(f"its runs: {state.dagster_url}/runs/b/{backfill_id}", highlight=False, soft_wrap=True)
    if not demo.keep and not running_before:
        console.print("the stack ends now; `make stack` (or `backfill demo --keep`) shows them there again")
    return 0 if after.is_right else 1


def _looked(config: Config, demo: Demo, console: Console, title: str) -> Seen:
    with console.status(f"{title.lower()}: counting both sides"):
        seen = look(config, demo.window)
    for dataset in config.datasets:
        of = {who[1:]: {d.day: d.verdict for d in days} for who, days in seen.verdicts.items() if who[0] == dataset}
        console.print(verdict_table(of, f"{title}: {dataset}"))
    console.print(f"ids with more than one row: {seen.doubled:,}; rows in no window: {seen.uncovered:,}\n")
    return seen


def look(config: Config, window: Window) -> Seen:
    """Both sides of every customer and dataset, read now."""
    verdicts: dict[Who, tuple[DayVerdict, ...]] = {}
    doubled = uncovered = 0
    for systems in _all_systems(config):
        for customer in systems.cluster.customers:
            uncovered += find_coverage(systems, customer.id, customer.profiles, window).rows
            for dataset in config.datasets:
                found = verify(systems, dataset, customer.id, customer.profiles, window)
                verdicts[dataset, systems.cluster.name, customer.id] = found.days
                doubled += sum(d.ids for d in find_doubled(systems, dataset, customer.id, customer.profiles, window))
    return Seen(verdicts, doubled, uncovered)


def _all_systems(config: Config) -> Iterator[Systems]:
    for cluster in config.clusters:
        systems = open_systems(config, cluster.name, lambda _: None)
        try:
            yield systems
        finally:
            systems.close()


def _backfilled(config: Config, demo: Demo, state: StackState, console: Console, rows: int) -> tuple[str, float]:
    """Launch one backfill over all customers as the UI does, and show how many rows were written since."""
    say = _every(10, console)
    client, since, started = DagsterClient(state.dagster_url or ""), _now(), time.monotonic()
    backfill_id = client.launch_backfill(_keys(config), demo.window, title="demo", tags={"launched_by": "demo"})
    with _progress(console) as progress:
        task = progress.add_task("waiting for Dagster's daemon", total=rows)

        def show(now: BackfillState) -> None:
            done = sum(s == "SUCCESS" for s in now.runs.values())
            written = _written(config, since) if now.runs else 0
            description = _description(now, done, written, started)
            progress.update(task, completed=written, description=description)
            say(f"{written:,} of {rows:,} rows, {description}")

        client.wait(backfill_id, deadline_seconds=DEADLINE_SECONDS, on_poll=show)
    return backfill_id, time.monotonic() - started


def _every(seconds: float, console: Console) -> Callable[[str], None]:
    """Prints a line now and then where there is no terminal, in which a bar would show nothing until its end."""
    last = time.monotonic()

    def say(line: str) -> None:
        nonlocal last
        if not console.is_terminal and time.monotonic() - last >= seconds:
            last = time.monotonic()
            console.print(line)

    return say


def _description(state: BackfillState, done: int, written: int, started: float) -> str:
    rate = written / (time.monotonic() - started)
    return f"{done}/{len(state.runs)} runs, {rate:,.0f} rows/s" if state.runs else "waiting for Dagster's daemon"


def _keys(config: Config) -> list[tuple[str, ...]]:
    gates = [("ready", c.name) for c in config.clusters]
    return [*gates, *((d, c.name, u.id) for c in config.clusters for u in c.customers for d in config.datasets)]


def _written(config: Config, since: datetime) -> int:
    """Rows whose version is as new as this demo's backfill, as the target itself says."""
    tables = sorted({t.table for d in config.datasets for t in DATASETS[d].targets})
    return sum(rows_since(s.clickhouse, tables, since) for s in _all_systems(config))


def _now() -> datetime:
    """Markers are drawn 5 s behind ClickHouse's clock, and the demo's own copy is written with times of January."""
    return datetime.now(UTC) - timedelta(seconds=6)


def _progress(console: Console) -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console)
