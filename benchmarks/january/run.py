"""The whole story once: a stack, its data, the backfills with their faults, and what came of it."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from backfill_pipeline.config import Config, load
from backfill_pipeline.domain.contracts import HEARTBEAT_TIMEOUT_SECONDS
from backfill_pipeline.stack.state import StackState
from backfill_pipeline.stack.supervisor import Stack
from benchmarks.january import measure
from benchmarks.january.kills import AWAY_SECONDS, RESTART_SECONDS, Kills
from benchmarks.january.operator import runs_of_customer, seen, way
from benchmarks.january.outcome import OfCluster, Outcome
from benchmarks.january.proof import Proved, first_failed, not_as_meant, proved
from benchmarks.january.rivals import Rival, rivals
from benchmarks.january.site import Patience, fill, write_configuration
from benchmarks.january.story import Story
from benchmarks.january.watch import Watch, launch, runs_of

MIDDLE = 1 / 3  # of the customers are done when the kills begin
MEMORY_SECONDS = 20

Say = Callable[[str], None]


@dataclass(frozen=True)
class January:
    """What is asked for. deadline: seconds for all backfills."""

    story: Story
    patience: Patience
    max_runs: int
    kills: bool
    deadline: float

    @property
    def name(self) -> str:
        size = f"{len(self.story.customers)}x{len(self.story.everybody)}x{self.story.days}"
        return f"january-{size}{'-kills' if self.kills else ''}"


@dataclass
class Observed:
    """What was seen while it ran."""

    begun: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)
    gigabytes: float = 0.0
    rows: int = 0
    kills: Sequence[str] = ()
    wrong: list[str] = field(default_factory=list)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - begun


def carried_out(january: January, folder: Path, say: Say) -> tuple[Outcome, str]:
    """The outcome, and as a page what an operator sees of the first run that each fault ended."""
    config_path = write_configuration(january.story, january.patience, january.max_runs, folder)
    observed = Observed()
    with Stack(folder, config=config_path, progress=say) as state:
        observed.seconds["start"] = time.monotonic() - observed.begun
        os.environ.update(state.environment())
        config = load(state.config_path)
        with observed.timed("data"):
            observed.rows = sum(fill(january.story, config, folder, january.patience).values())
        say(f"{observed.rows:,} rows in the source; memory {measure.gigabytes(state.id):.1f} GiB before the backfills")
        with dg.DagsterInstance.get() as instance:
            found = _rebuilt(january, state, config, instance, observed, say)
            with observed.timed("proof"):
                proof = proved(config, january.story)
            outcome = _outcome(january, config, instance, observed, found, proof)
            return outcome, _pages(instance, january.story)


def _rebuilt(
    january: January, state: StackState, config: Config, instance: dg.DagsterInstance, observed: Observed, say: Say
) -> tuple[Watch, Sequence[Rival]]:
    """All backfills with all faults, until every day is done or nobody but a person can go on."""
    watch = Watch(january.story, config, instance, say)
    kills = _kills(january, state.folder, say)
    silence = january.patience.silence or HEARTBEAT_TIMEOUT_SECONDS
    struck = rivals(config, january.story.struck, january.story.window, silence)
    with observed.timed("backfills"), struck as at_work:
        launch(january.story, state)
        is_done = watch.until_over(january.deadline, _looks(state, observed, kills))
    if not is_done:
        missing = sorted(set(january.story.everybody) - watch.done)
        observed.wrong.append(f"not done: {', '.join('/'.join(w) for w in missing)}")
    _after_kills(kills, observed)
    return watch, at_work


def _kills(january: January, folder: Path, say: Say) -> Kills | None:
    """The worker of the cluster that stalls, the Temporal of the one that deadlocks: both have long work."""
    names = list(january.story.customers)
    return Kills(folder, names[0], names[1], say) if january.kills else None


def _looks(state: StackState, observed: Observed, kills: Kills | None) -> Callable[[Watch], None]:
    last = 0.0

    def look(watch: Watch) -> None:
        nonlocal last
        if time.monotonic() - last > MEMORY_SECONDS:
            last = time.monotonic()
            observed.gigabytes = max(observed.gigabytes, measure.gigabytes(state.id))
        if kills and not kills.ident and len(watch.done) >= MIDDLE * len(watch.story.everybody):
            kills.start()

    return look


def _after_kills(kills: Kills | None, observed: Observed) -> None:
    if kills is None:
        return
    if not kills.ident:
        observed.wrong.append("the kills never began")
        return
    kills.join(AWAY_SECONDS + 2 * RESTART_SECONDS)
    observed.kills = kills.told
    if kills.error or kills.is_alive():
        observed.wrong.append(f"the kills went wrong: {kills.error!r}")


def _outcome(
    january: January,
    config: Config,
    instance: dg.DagsterInstance,
    observed: Observed,
    found: tuple[Watch, Sequence[Rival]],
    proof: Proved,
) -> Outcome:
    story, (watch, at_work) = january.story, found
    records = runs_of(instance, story)
    return Outcome(
        date=datetime.now(UTC).date().isoformat(),
        command=january.name,
        machine=f"{os.cpu_count()} cores",
        clusters=_clusters(config, story, records, proof),
        seconds={
            name: round(s, 1) for name, s in (*observed.seconds.items(), ("all", time.monotonic() - observed.begun))
        },
        source_rows=observed.rows,
        jobs=measure.jobs(watch.config.clusters[0].launcher.jobs),
        failed_runs=sum(r.dagster_run.status is dg.DagsterRunStatus.FAILURE for r in records),
        retries_by_cause=measure.retries_by_cause(records),
        hands=len(watch.by_hand),
        doubled=proof.doubled,
        gigabytes=round(observed.gigabytes, 1),
        load=round(os.getloadavg()[0], 1),
        ways={f"{s.cluster}/{s.customer}": way(records, (s.cluster, s.customer)) for s in story.struck},
        faults={f"{r.struck.cluster}/{r.struck.customer}": _struck(r) for r in at_work},
        kills=observed.kills,
        wrong=[*observed.wrong, *not_as_meant(records, at_work)],
    )


def _struck(rival: Rival) -> str:
    fault = rival.struck.fault
    return f"{fault.kind} above {fault.above_days} days, struck {rival.strikes} times"


def _clusters(config: Config, story: Story, records: Sequence[dg.RunRecord], proof: Proved) -> Mapping[str, OfCluster]:
    workflows = measure.workflows(config)
    return {
        name: OfCluster(
            customers=len(ids),
            days_proved=proof.equal[name],
            days=len(ids) * story.days,
            runs=len(theirs := [r for i in ids for r in runs_of_customer(records, (name, i))]),
            workflows=len(workflows[name]),
            peak_runs=measure.peak(measure.run_spans(theirs)),
            peak_workflows=measure.peak(w.span for w in workflows[name]),
            limit=config.cluster(name).max_runs,
        )
        for name, ids in story.customers.items()
    }


def _pages(instance: dg.DagsterInstance, story: Story) -> str:
    records = runs_of(instance, story)
    pages = []
    for struck in story.struck:
        record = first_failed(records, struck)
        if record:
            lines = "\n".join(seen(instance, record))
            pages.append(f"## {struck.fault.kind} of {struck.customer} on {struck.cluster}\n\n```\n{lines}\n```\n")
    return "\n".join(pages)
