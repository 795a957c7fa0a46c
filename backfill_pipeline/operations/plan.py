"""What a launch of these days would do: windows as Dagster's backfill cuts them, each planned by the steps' own functions.

Reads only: ledger (a snapshot), PostgreSQL, ClickHouse, Temporal, the CronJobs; Jobs are asked for with `dryRun`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from uuid import uuid4

from backfill_pipeline.config import Cluster, Config, PostgresAddress, required
from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.forecast import Forecast, PlannedDelete, PlannedJob, PlannedWindow, cluster_sum
from backfill_pipeline.domain.guards import Approval
from backfill_pipeline.domain.pace import Pace, pace_of
from backfill_pipeline.domain.plans import Attempt, Claim, Launch, Plan
from backfill_pipeline.domain.retries import Of
from backfill_pipeline.domain.status import Unasked
from backfill_pipeline.domain.windows import Window, from_inclusive_days, windows_of
from backfill_pipeline.operations.asking import asked
from backfill_pipeline.operations.select import refuse_no_partitions
from backfill_pipeline.steps.dry_run import Before, Foreseen, foresee
from backfill_pipeline.steps.records import DayTables
from backfill_pipeline.steps.systems import Systems, open_systems
from backfill_pipeline.stores.pauses import read_pauses
from backfill_pipeline.stores.progress import held, last_marker, ledger_snapshot, paces
from backfill_pipeline.stores.sizes import RowBytes, row_bytes

SECONDS = 3600.0  # for all clusters, side by side; each statement has a deadline of its own
NO_RUN = "not launched"


@dataclass(frozen=True)
class Wanted:
    """first, last: inclusive. manifests: with the Jobs' manifests, for which the CronJobs are read.

    approved, job_days: as a launch would be told. days: those of each asset that a launch would do; None, all of the range.
    """

    config: Config
    assets: tuple[Of, ...]
    first: date
    last: date
    manifests: bool = False
    approved: frozenset[Approval] = frozenset()
    job_days: int | None = None
    days: Mapping[Of, Sequence[date]] | None = None

    @property
    def window(self) -> Window:
        return from_inclusive_days(self.first, self.last)

    def windows(self, of: Of) -> tuple[Window, ...]:
        return (self.window,) if self.days is None else windows_of(self.days[of])


@dataclass(frozen=True)
class Known:
    """What all windows of a cluster share. sizes: None where ClickHouse did not tell them, or not in time."""

    paces: Mapping[Of, Pace]
    sizes: Mapping[str, RowBytes] | None


def planned(wanted: Wanted, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Forecast:
    """Every window of the selection; one that can't be planned says why, and keeps no other back.

    Raises:
        Refused: the range is reversed, or has days that are no partition of a cluster, as a launch would refuse it.
    """
    window, names = wanted.window, list(dict.fromkeys(of.cluster for of in wanted.assets))
    refuse_no_partitions(wanted.config, wanted.assets, window.days)
    answers = asked({n: partial(_of_cluster, wanted, wanted.config.cluster(n)) for n in names}, SECONDS)
    windows = {n: _told(wanted, n, answer) for n, answer in answers.items()}
    paused = _paused(wanted.config)
    why = {n: next((w.unknown for w in found if w.unknown), None) for n, found in windows.items()}
    return Forecast(
        asked_at=now(),
        first_day=str(window.days[0]),
        last_day=str(window.days[-1]),
        clusters=tuple(cluster_sum(n, windows[n], wanted.config.cluster(n).max_runs, paused.get(n)) for n in names),
        windows=tuple(w for found in windows.values() for w in found),
        unasked=tuple(Unasked("cluster", n, reason) for n, reason in why.items() if reason),
    )


def windows_to_run(wanted: Wanted, cluster: Cluster) -> Iterator[tuple[Of, Window]]:
    """As Dagster's multi_run policy cuts each range of days: from its first day on, so many days at a time."""
    for of in (of for of in wanted.assets if of.cluster == cluster.name):
        longest = cluster.customer(of.customer).window_days
        yield from ((of, part) for window in wanted.windows(of) for part in window.split(longest))


def _paused(config: Config) -> Mapping[str, str]:
    """Why nothing starts, by cluster. Where the ledger is away no window can be planned, and each says so."""
    try:
        with ledger_snapshot(_ledger(config)) as ledger:
            found = read_pauses(ledger) if ledger else {}
    except PipelineError:
        return {}
    return {cluster: str(pause) for cluster, pause in found.items() if pause.in_force}


def _told(wanted: Wanted, cluster: str, answer: tuple[PlannedWindow, ...] | PipelineError) -> tuple[PlannedWindow, ...]:
    if not isinstance(answer, PipelineError):
        return answer
    all_of_them = windows_to_run(wanted, wanted.config.cluster(cluster))
    return tuple(_unplanned(of, window, answer) for of, window in all_of_them)


def _unplanned(of: Of, window: Window, error: PipelineError) -> PlannedWindow:
    return PlannedWindow(of.cluster, of.customer, of.dataset, str(window), unknown=str(error))


def _of_cluster(wanted: Wanted, cluster: Cluster) -> tuple[PlannedWindow, ...]:
    systems = open_systems(wanted.config, cluster.name, lambda _: None)
    try:
        known = _known(wanted, systems)
        return tuple(_each(wanted, systems, known, list(windows_to_run(wanted, cluster))))
    finally:
        systems.close()


def _known(wanted: Wanted, systems: Systems) -> Known:
    tables = sorted({t.table for of in wanted.assets for t in DATASETS[of.dataset].targets})
    with ledger_snapshot(_ledger(wanted.config)) as ledger:
        speeds = paces(ledger) if ledger else {}
    try:
        return Known(speeds, row_bytes(systems.clickhouse, tables))
    except PipelineError:
        return Known(speeds, None)  # whoever may not read system.parts still gets a plan


def _each(wanted: Wanted, systems: Systems, known: Known, work: Sequence[tuple[Of, Window]]) -> Iterator[PlannedWindow]:
    """After a system that is away no window waits for it again."""
    away: PipelineError | None = None
    for of, window in work:
        try:
            if away:
                raise away
            yield _window(wanted, systems, known, of, window)
        except PipelineError as error:
            away = error if error.kind is Kind.UNREACHABLE else None
            yield _unplanned(of, window, error)


def _window(wanted: Wanted, systems: Systems, known: Known, of: Of, window: Window) -> PlannedWindow:
    profiles = tuple(systems.cluster.customer(of.customer).profiles)
    claim = Claim(str(uuid4()), NO_RUN, of.cluster, of.customer, profiles, of.dataset, window)
    before = _before(wanted.config, claim)
    found = foresee(systems, claim, before, approved=wanted.approved, job_days=wanted.job_days)
    if found.attempt is None or found.plan is None:
        return PlannedWindow(of.cluster, of.customer, of.dataset, str(window), found.reasons)
    return _described(wanted, systems, known, of, found, found.attempt, found.plan, len(before.unended))


def _before(config: Config, claim: Claim) -> Before:
    with ledger_snapshot(_ledger(config)) as ledger:
        if ledger is None:
            return Before()
        return Before(last_marker(ledger, claim), ledger.tried(claim), ledger.unended(claim), held(ledger))


def _described(
    wanted: Wanted,
    systems: Systems,
    known: Known,
    of: Of,
    found: Foreseen,
    attempt: Attempt,
    plan: Plan,
    ends_earlier: int,
) -> PlannedWindow:
    rows, is_alter = _rows(found.source), systems.clickhouse.address.delete == "alter"
    uncompressed, compressed = _bytes(rows, known.sizes)
    return PlannedWindow(
        *(of.cluster, of.customer, of.dataset, str(attempt.window)),
        refusals=found.reasons,
        rows=sum(rows.values()),
        rows_now=sum(_rows(found.target).values()),
        uncompressed_bytes=uncompressed,
        compressed_bytes=compressed,
        seconds=pace_of(known.paces, of).seconds_of(sum(rows.values()), 1),
        marker=attempt.marker,
        attempt_id=attempt.attempt_id,
        ends_earlier=ends_earlier,
        deletes=tuple(PlannedDelete(d.table, d.alter if is_alter else d.text, d.survivors) for d in plan.deletes),
        jobs=tuple(_job(wanted, systems, p, launch) for p, launch in zip(attempt.parts, plan.launches, strict=True)),
    )


def _rows(side: DayTables | None) -> dict[str, int]:
    """Rows per table."""
    rows: dict[str, int] = {}
    for day in (side or {}).values():
        for table, found in day.items():
            rows[table] = rows.get(table, 0) + found.rows
    return rows


def _bytes(rows: Mapping[str, int], sizes: Mapping[str, RowBytes] | None) -> tuple[int | None, int | None]:
    """Unknown where a table to be written has no row yet by which one could tell."""
    wanted = {table: count for table, count in rows.items() if count}
    if sizes is None or any(table not in sizes for table in wanted):
        return None, None
    raw = sum(count * sizes[table].uncompressed for table, count in wanted.items())
    return round(raw), round(sum(count * sizes[table].compressed for table, count in wanted.items()))


def _job(wanted: Wanted, systems: Systems, part: Attempt, launch: Launch) -> PlannedJob:
    manifest = systems.launcher.manifest(launch) if wanted.manifests else None
    who = (launch.job_name, launch.cronjob, str(part.window))
    return PlannedJob(*who, launch.env, launch.deadline_seconds, manifest)


def _ledger(config: Config) -> PostgresAddress:
    return required(config.ledger, "", "ledger")
