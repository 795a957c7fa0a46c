"""Fills both sides with a made-up past: PostgreSQL as it is, ClickHouse with the planted defects."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TypeVar
from zlib import crc32

import numpy as np
import psycopg
import pyarrow as pa
from clickhouse_connect.driver.client import Client

from backfill_pipeline.config import Cluster, Config, Customer, required
from backfill_pipeline.domain.windows import ONE_DAY, Window
from backfill_pipeline.stack.demo_data import (
    broken_copy,
    clickhouse_side,
    defects,
    label_defects,
    labels,
    odd,
    postgres_side,
)
from backfill_pipeline.stack.demo_data.assist_events import assist_events
from backfill_pipeline.stack.demo_data.label_rows import label_day
from backfill_pipeline.stack.demo_data.loopback import refuse_other_machines
from backfill_pipeline.stack.demo_data.planted import CleanDay, Defect, Place, Planted, Uncovered
from backfill_pipeline.stack.demo_data.right_copy import copy_of
from backfill_pipeline.stack.demo_data.scorecards import template_revisions
from backfill_pipeline.stack.demo_data.source_day import SourceDay, source_day

DAILY_CONVERSATIONS = 150  # of an ordinary customer at size 1
TIMES_AS_LARGE: Mapping[str, float] = {"hooli": 20}
FIRST_DAY = date(2026, 1, 1)
_CLEAN_SHARE = 0.3
Key = TypeVar("Key")
_FLUSH_ROWS = 200_000  # scores held in memory before they are written

Progress = Callable[[str, int, int], None]
"""Called with (cluster/customer, days done, days in all), each counted over all profiles."""


def generate(
    config: Config,
    *,
    seed: int = 7,
    size: float = 1.0,
    first_day: date = FIRST_DAY,
    days: int = 10,
    folder: Path,
    progress: Progress | None = None,
    odd_rows: bool = False,
    plant: bool = True,
    reset: bool = True,
    times_as_large: Mapping[str, float] = TIMES_AS_LARGE,
) -> Planted:
    """Fill the PostgreSQL and ClickHouse of every cluster; the same arguments give the same rows.

    Args:
        size: 1.0 is about 150 conversations a day for a customer, 3,000 for hooli; a profile's day has at least 30.
        first_day, days: the span; it should lie in the past, as row versions follow it by hours.
        folder: gets `planted.json`.
        odd_rows: also a few rows that fit no dataset, so that UNCOVERED shows.
        plant: False leaves every day without a defect: ClickHouse is then a right copy.
        times_as_large: customers whose days are not of the usual size, and how many times that.
        reset: empty both sides first; without it, rows that are there refuse the call.

    Raises:
        Refused: an address is not on loopback, or tables hold rows that are no demo data; no row was touched.
        PipelineError: a side can't be reached.
    """
    refuse_other_machines(config)
    window = Window(first_day, first_day + ONE_DAY * days)
    _empty_all(config, reset=reset)
    story = _Story(seed, size, window, odd_rows, plant, times_as_large)
    notify = _counted(progress, sum(len(cu.profiles) for cl in config.clusters for cu in cl.customers) * days)
    for cluster in config.clusters:
        _fill(cluster, story, notify)
    planted = story.planted()
    planted.write(folder)
    return planted


def volume(customer: str, *, profiles: int, size: float, times_as_large: Mapping[str, float] = TIMES_AS_LARGE) -> int:
    """Chats of one of the customer's profiles on a day."""
    return round(DAILY_CONVERSATIONS * times_as_large.get(customer, 1) * size / profiles)


def _empty_all(config: Config, *, reset: bool) -> None:
    """Empty every side, once all of them have been checked; clusters may share a PostgreSQL database."""
    with ExitStack() as stack:
        sources = {str(a): a for a in (required(c.postgres, c.name, "postgres") for c in config.clusters)}
        databases = {name: stack.enter_context(postgres_side.connected(a)) for name, a in sources.items()}
        shards = {name: c for cluster in config.clusters for name, c in _shards(cluster, stack).items()}
        for name, database in databases.items():
            postgres_side.check(database, name, reset=reset)
        for name, (client, form) in shards.items():
            clickhouse_side.check(client, name, form, reset=reset)
        for database in databases.values():
            postgres_side.empty(database)
            postgres_side.copy_in(database, "director.scorecard_template_revisions", template_revisions())
        for client, _ in shards.values():
            clickhouse_side.empty(client)


def _shards(cluster: Cluster, stack: ExitStack) -> dict[str, tuple[Client, clickhouse_side.LabelsForm]]:
    """By address a client of each shard, open until the stack is closed, and the form in which it gets its labels."""
    address = required(cluster.clickhouse, cluster.name, "clickhouse")
    form = clickhouse_side.labels_form(len(address.shards))
    clients = stack.enter_context(clickhouse_side.connected(address))
    return {str(shard.replicas[0]): (client, form) for shard, client in zip(address.shards, clients, strict=True)}


def _counted(progress: Progress | None, total: int) -> Callable[[str], None]:
    done = Counter[None]()

    def notify(name: str) -> None:
        done[None] += 1
        if progress:
            progress(name, done[None], total)

    return notify


@dataclass
class _Story:
    """The arguments of a generation, and what has been planted so far."""

    seed: int
    size: float
    window: Window
    odd_rows: bool
    plant: bool
    times_as_large: Mapping[str, float] = field(default_factory=lambda: TIMES_AS_LARGE)
    defects: list[Defect] = field(default_factory=list)
    clean: list[CleanDay] = field(default_factory=list)
    uncovered: list[Uncovered] = field(default_factory=list)
    source_rows: Counter[str] = field(default_factory=Counter)
    target_rows: Counter[str] = field(default_factory=Counter)

    def rng(self, *names: str) -> np.random.Generator:
        """Independent of all other names, so that a customer's rows don't change with those of its neighbours."""
        return np.random.default_rng([self.seed, crc32("\n".join(names).encode())])

    def rng_of(self, place: Place, *names: str) -> np.random.Generator:
        return self.rng(place.cluster, place.customer, place.profile, str(place.day), *names)

    def planted(self) -> Planted:
        return Planted(
            seed=self.seed, size=self.size, first_day=self.window.start, days=len(self.window.days),
            defects=self.defects, clean=self.clean, uncovered=self.uncovered,
            source_rows=dict(self.source_rows), target_rows=dict(self.target_rows),
        )  # fmt: skip


def _fill(cluster: Cluster, story: _Story, notify: Callable[[str], None]) -> None:
    with ExitStack() as stack:
        postgres = stack.enter_context(postgres_side.connected(required(cluster.postgres, cluster.name, "postgres")))
        address = required(cluster.clickhouse, cluster.name, "clickhouse")
        writer = _Writer(postgres, stack.enter_context(clickhouse_side.connected(address)), story)
        for customer in cluster.customers:
            _fill_customer(cluster, customer, story, writer, notify)
        writer.flush()
        postgres.execute(
            "ANALYZE app.chats, app.agent_assist_events, director.scorecards, director.historic_scorecard_scores"
        )


def _fill_customer(
    cluster: Cluster, customer: Customer, story: _Story, writer: "_Writer", notify: Callable[[str], None]
) -> None:
    rng = story.rng(cluster.name, customer.id, "clean")
    clean = _clean_days(rng, story.window.days) if story.plant else set(story.window.days)
    story.clean += [CleanDay(cluster=cluster.name, customer=customer.id, day=d) for d in sorted(clean)]
    dirty = [d for d in story.window.days if d not in clean]
    for profile in customer.profiles:
        for day in story.window.days:
            place = Place(cluster.name, customer.id, profile, day, writer.shards, writer.labels_moment)
            _fill_day(place, len(customer.profiles), dirty, story, writer)
            notify(f"{cluster.name}/{customer.id}")


def _clean_days(rng: np.random.Generator, days: tuple[date, ...]) -> set[date]:
    """About a third of the days, at least one, and never so many that fewer than two others are left."""
    count = min(max(1, round(len(days) * _CLEAN_SHARE)), max(0, len(days) - 2))
    return {days[i] for i in rng.choice(len(days), count, replace=False)}


def _next(dirty: list[date], day: date) -> date | None:
    """The day onto which this day's doubles fall: the next one with defects, in a ring; None if there is no other."""
    if day not in dirty or len(dirty) < 2:
        return None
    return dirty[(dirty.index(day) + 1) % len(dirty)]


def _fill_day(place: Place, profiles: int, dirty: list[date], story: _Story, writer: "_Writer") -> None:
    """dirty: the customer's days that get defects."""
    rng, other_day = story.rng_of(place), _next(dirty, place.day)
    chats = volume(place.customer, profiles=profiles, size=story.size, times_as_large=story.times_as_large)
    source = source_day(rng, place, chats)
    copy = copy_of(source)
    choice = defects.choose(rng, source, copy, is_clean=place.day not in dirty, other_day=other_day is not None)
    story.defects += defects.records(source, copy, choice, other_day)
    writer.write_source(broken_copy.source_tables(source, choice))
    _fill_labels(source, choice.gone["conversation"], dirty, story, writer)
    if story.odd_rows and place.day == story.window.start:
        rows, uncovered = odd.rows(source)
        writer.write_source(rows)
        story.uncovered += uncovered
    days_off = (other_day - place.day).days if other_day else 0
    writer.write_superseded(broken_copy.superseded_rows(source, copy, choice))
    writer.write_target(broken_copy.target_rows(source, copy, choice, days_off))


def _fill_labels(source: SourceDay, gone: np.ndarray, dirty: list[date], story: _Story, writer: "_Writer") -> None:
    """Drawn from numbers of their own, so that what was there before labels were stays as it was."""
    place = source.place
    events = assist_events(story.rng_of(place, "events"), source.chats)
    writer.write_source({"app.agent_assist_events": events.rows.filter(~gone[events.chat])})
    day = label_day(source, events, gone)
    choice = label_defects.choose(story.rng_of(place, "labels"), day, dirty, _next(dirty, place.day))
    story.defects += label_defects.records(day, choice.hits)
    writer.write_superseded(labels.superseded_rows(day, choice))
    writer.write_target(labels.target_rows(day, choice))


class _Writer:
    """Collects days and writes them in large pieces. labels_moment: the time by which labels are sharded."""

    def __init__(self, postgres: psycopg.Connection, shards: list[Client], story: _Story) -> None:
        self._postgres, self._shards, self._story = postgres, shards, story
        self.shards, self.labels_moment = len(shards), clickhouse_side.labels_moment(shards[0])
        self._source: defaultdict[str, list[pa.Table]] = defaultdict(list)
        self._target: defaultdict[tuple[int, str], list[pa.Table]] = defaultdict(list)
        self._superseded: defaultdict[tuple[int, str], list[pa.Table]] = defaultdict(list)

    def write_source(self, tables: dict[str, pa.Table]) -> None:
        for name, rows in tables.items():
            self._source[name].append(rows)
        if sum(t.num_rows for t in self._source.get("director.historic_scorecard_scores", [])) >= _FLUSH_ROWS:
            self.flush()

    def write_target(self, parts: list[broken_copy.ShardRows]) -> None:
        for part in parts:
            self._target[part.shard, part.table].append(part.rows)

    def write_superseded(self, parts: list[broken_copy.ShardRows]) -> None:
        for part in parts:
            self._superseded[part.shard, part.table].append(part.rows)

    def flush(self) -> None:
        """Write what is there; older versions in inserts of their own, as one insert would already merge them away."""
        for name, rows in _taken(self._source):
            postgres_side.copy_in(self._postgres, name, rows)
            self._story.source_rows[name] += rows.num_rows
        for pieces in (self._superseded, self._target):
            for (shard, table), rows in _taken(pieces):
                clickhouse_side.insert(self._shards[shard], table, rows)
                self._story.target_rows[table] += rows.num_rows


def _taken(pieces: defaultdict[Key, list[pa.Table]]) -> Iterator[tuple[Key, pa.Table]]:
    """Each key with its tables as one, taken out."""
    while pieces:
        key, tables = pieces.popitem()
        yield key, pa.concat_tables(tables)
