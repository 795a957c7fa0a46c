"""How all clusters are doing: ledger, Dagster and every Temporal asked at once, then judged by `domain.summary`. Reads only."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from backfill_pipeline.clients.dagster import DagsterClient
from backfill_pipeline.clients.port_forward.forwarded import forwarded
from backfill_pipeline.clients.temporal import Temporal
from backfill_pipeline.config import Cluster, Config, PostgresAddress, required
from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.errors import PipelineError, Refused
from backfill_pipeline.domain.retries import Of
from backfill_pipeline.domain.retrying import SENSOR, Sensor
from backfill_pipeline.domain.status import Chosen, DagsterRun, Launched, OpenExecution, Signals, Status, Unasked
from backfill_pipeline.domain.summary import summed
from backfill_pipeline.domain.windows import Window, from_inclusive_days
from backfill_pipeline.operations.asking import asked
from backfill_pipeline.stores.progress import attempts_known, ledger_view

SECONDS = 10.0  # for all systems together
CALL_SECONDS = 8.0
DAGSTER, BACKFILLS, RETRIES = "Dagster", "Dagster's backfills", "Dagster's sensor"
LEDGER, ATTEMPTS = "ledger", "ledger of attempts"
_SAID_WITH = {BACKFILLS: DAGSTER, RETRIES: DAGSTER, ATTEMPTS: LEDGER}
"""Questions to the same system: that it is away is told once."""
NO_ADDRESS = "no address that belongs to this configuration is known: give --dagster, or set BACKFILL_DAGSTER"
Found = Mapping[str, tuple[OpenExecution, ...]]
Question = tuple[str, str]
"""(system, cluster); the cluster is empty where the system is no cluster's."""


@dataclass(frozen=True)
class Asked:
    """What a person wants to see. first, last: inclusive; None: from each cluster's first day, up to yesterday.

    customers_named: then executions of nobody else are shown.
    """

    config: Config
    assets: tuple[Of, ...]
    dagster: str | None
    first: date | None = None
    last: date | None = None
    customers_named: bool = False


def status(wanted: Asked, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Status:
    """The clusters now; what could not be asked stands in `unasked`, and is None where it would have been shown.

    Raises:
        Refused: no cluster has any of the days.
    """
    today = now().date()
    chosen = chosen_of(wanted, today)
    answers = asked(_questions(wanted, chosen), SECONDS)
    found = {c: a for (kind, c), a in answers.items() if kind == "Temporal" and not isinstance(a, PipelineError)}
    shown = {c: _shown(wanted, c, executions) for c, executions in found.items()}
    attempts = _attempts(wanted.config, shown)
    told = {kind: a for (kind, c), a in answers.items() if not c and not isinstance(a, PipelineError)}
    return summed(
        Signals(
            now=now(),
            policy=wanted.config.limits.retry_policy,
            chosen=chosen,
            ledger=told.get(LEDGER),
            runs=told.get(DAGSTER),
            launched=told.get(BACKFILLS),
            asked_sensor=RETRIES in told,
            sensor=told.get(RETRIES),
            open=shown,
            attempts=None if isinstance(attempts, PipelineError) else attempts,
            unasked=tuple(_unasked(wanted, {**answers, (ATTEMPTS, ""): attempts})),
            cut=tuple(_cut(wanted, today)),
        )
    )


def _unasked(wanted: Asked, answers: Mapping[Question, Any]) -> Iterator[Unasked]:
    if not wanted.dagster:
        yield Unasked(DAGSTER, None, NO_ADDRESS)
    for (system, cluster), answer in answers.items():
        is_said = isinstance(answers.get((_SAID_WITH.get(system, ""), "")), PipelineError)
        if isinstance(answer, PipelineError) and not is_said:
            yield Unasked(system, cluster or None, str(answer))


def chosen_of(wanted: Asked, today: date) -> tuple[Chosen, ...]:
    """The clusters with their assets and days. A day before a cluster's first one, or that is not over, is not there.

    Raises:
        Refused: no cluster has any of the days, or the range is reversed.
    """
    if wanted.first and wanted.last:
        from_inclusive_days(wanted.first, wanted.last)
    names = dict.fromkeys(of.cluster for of in wanted.assets)
    chosen = tuple(_chosen(wanted, wanted.config.cluster(name), today) for name in names)
    if (wanted.first or wanted.last) and not any(c.window for c in chosen):
        raise _no_days(wanted, today)
    return chosen


def _chosen(wanted: Asked, cluster: Cluster, today: date) -> Chosen:
    start = max(wanted.first or cluster.first_day, cluster.first_day)
    end = min(from_inclusive_days(wanted.last, wanted.last).end if wanted.last else today, today)
    return Chosen(
        cluster=cluster.name,
        assets=tuple(of for of in wanted.assets if of.cluster == cluster.name),
        window=Window(start, end) if start < end else None,
        max_runs=cluster.max_runs,
        window_days={c.id: c.window_days for c in cluster.customers},
    )


def _cut(wanted: Asked, today: date) -> Iterator[str]:
    names = dict.fromkeys(of.cluster for of in wanted.assets)
    later = [n for n in names if wanted.first and wanted.first < wanted.config.cluster(n).first_day]
    if later:
        yield f"days of {', '.join(later)} begin at its first_day: {wanted.first} is before it"
    if wanted.last and wanted.last >= today:
        yield f"days end yesterday: {wanted.last} is not over"


def _no_days(wanted: Asked, today: date) -> Refused:
    return Refused(
        "No cluster has any of these days",
        where=f"{wanted.first or 'the first day'} to {wanted.last or 'yesterday'}",
        why=f"days begin at a cluster's first_day and end yesterday; today is {today} (UTC)",
        next_step="give other days",
    )


def _questions(wanted: Asked, chosen: Sequence[Chosen]) -> dict[Question, Callable[[], Any]]:
    questions: dict[Question, Callable[[], Any]] = {(LEDGER, ""): partial(_ledger_view, wanted.config, chosen)}
    if wanted.dagster:
        questions[DAGSTER, ""] = partial(_unfinished_runs, wanted.dagster)
        questions[BACKFILLS, ""] = partial(_without_a_run, wanted.dagster)
        questions[RETRIES, ""] = partial(_retry_sensor, wanted.dagster)
    types = sorted({w.type for of in wanted.assets if (w := DATASETS[of.dataset].workflow)})
    for each in chosen:
        questions["Temporal", each.cluster] = partial(open_executions, wanted.config.cluster(each.cluster), types)
    return questions


def _unfinished_runs(url: str) -> tuple[DagsterRun, ...]:
    """Runs that wait or work, and of which datasets' assets they are."""
    runs = DagsterClient(url, seconds=CALL_SECONDS).unfinished_runs()
    return tuple(DagsterRun(r.run_id, r.waits, tuple(_assets(r.keys)), r.status == "CANCELING") for r in runs)


def _without_a_run(url: str) -> tuple[Launched, ...]:
    """Backfills that have launched nothing yet but their gate: Dagster looks at each every half a minute."""
    backfills = DagsterClient(url, seconds=CALL_SECONDS).unfinished_backfills()
    return tuple(
        Launched(
            *(b.backfill_id, datetime.fromtimestamp(b.launched, UTC), tuple(_assets(sorted(b.keys)))),
            days=None if b.days is None else len(b.days),
        )
        for b in backfills
        if not any(_assets(b.newest))
    )


def _retry_sensor(url: str) -> Sensor | None:
    return DagsterClient(url, seconds=CALL_SECONDS).sensor(SENSOR)


def _assets(keys: Iterable[tuple[str, ...]]) -> Iterator[Of]:
    """A gate is none."""
    for key in keys:
        if len(key) == 3 and key[0] in DATASETS:
            yield Of(key[1], key[2], key[0])


def _ledger_view(config: Config, chosen: Sequence[Chosen]) -> Any:
    windows = [c.window for c in chosen if c.window]
    all_days = Window(min(w.start for w in windows), max(w.end for w in windows)) if windows else None
    return ledger_view(_ledger(config), all_days)


def _ledger(config: Config) -> PostgresAddress:
    return required(config.ledger, "", "ledger")


def open_executions(cluster: Cluster, types: Sequence[str]) -> tuple[OpenExecution, ...]:
    if not types:
        return ()  # a dataset whose Job does it itself has none
    with forwarded(cluster, ("temporal",)) as reached:
        temporal = Temporal(required(reached.temporal, cluster.name, "temporal"))
        try:
            return temporal.open_now(types, seconds=CALL_SECONDS)
        finally:
            temporal.close()


def _shown(wanted: Asked, cluster: str, found: Sequence[OpenExecution]) -> tuple[OpenExecution, ...]:
    """Of somebody who was asked for; those of nobody that is known only where everybody was."""
    customers = {of.customer for of in wanted.assets if of.cluster == cluster}
    return tuple(e for e in found if not wanted.customers_named or e.customer in customers)


def _attempts(config: Config, found: Found) -> Mapping[str, bool] | PipelineError:
    """Asked after Temporal: what started meanwhile would else be nobody's."""
    ids = sorted({e.attempt_id for executions in found.values() for e in executions if e.attempt_id})
    if not ids:
        return {}
    return asked({"": lambda: attempts_known(_ledger(config), ids)}, SECONDS)[""]
