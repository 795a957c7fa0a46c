"""Before a delete: are both sides well enough for it, and is the cluster not paused? Until then the run waits, and says why."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.health import Health, judge
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.stores.health import clickhouse_health, postgres_health
from backfill_pipeline.stores.pauses import read_pauses

Tell = Callable[[str], None]


def ask(systems: Systems) -> Health:
    """One look at PostgreSQL, every replica of ClickHouse, and the pauses; who does not answer is a reason, and no error."""
    tables = sorted({t.table for name in systems.datasets for t in DATASETS[name].targets})
    signals = postgres_health(systems.postgres.address) + clickhouse_health(systems.clickhouse.address, tables)
    health = judge(signals, systems.health.thresholds)
    return replace(health, reasons=(*_paused(systems), *health.reasons))


def _paused(systems: Systems) -> Iterator[str]:
    """A pause's pool holds back what Dagster's daemon starts; a run that is launched in process asks for no slot."""
    name = systems.cluster.name
    try:
        pause = read_pauses(systems.ledger).get(name)
    except PipelineError as error:
        yield f"whether {name} is paused is unknown, which is not the same as no: {error}"
    else:
        if pause and pause.in_force:
            yield str(pause)


def wait_until_healthy(systems: Systems, log: Tell, tell: Tell = lambda _: None) -> float:
    """Return when nothing speaks against a delete; how many seconds that took, 0 if nothing did.

    Args:
        log: gets a line for every look that found a reason.
        tell: gets a sentence that replaces the last one: that the run waits and why, then that it no longer does.

    Raises:
        PipelineError: RETRY, with every reason that is left at the deadline.
    """
    started, waited = systems.clock(), 0.0
    while not (health := ask(systems)).is_good:
        waited = systems.clock() - started
        left = systems.health.deadline_seconds - waited
        if left <= 0:
            tell(f"given up after {waited:.0f} s: {_together(health)}")
            raise _given_up(systems, health, waited)
        log(f"waiting before the delete, for {waited:.0f} s by now: {_together(health)}")
        tell(_together(health))
        systems.sleep(min(systems.health.ask_seconds, left))
        waited = systems.clock() - started
    if waited:
        log(f"waited {waited:.0f} s; nothing speaks against the delete now")
        tell(f"no longer: went on after {waited:.0f} s")
    return waited


def _together(health: Health) -> str:
    return "; ".join(health.reasons)


def _given_up(systems: Systems, health: Health, waited: float) -> PipelineError:
    count = len(health.reasons)
    return PipelineError(
        f"Cluster {systems.cluster.name} was not well enough for a delete in {waited:.0f} s; nothing was deleted. "
        f"{count} reason{'s' * (count > 1)}",
        where=f"PostgreSQL, ClickHouse and pause of cluster {systems.cluster.name}",
        why=_together(health),
        next_step="mend or resume what is named, or change the threshold that stands in brackets, then rerun the failed days",
        kind=Kind.RETRY,
    )
