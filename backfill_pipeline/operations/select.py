"""Which assets and days an operator means: clusters, customers with globs, datasets."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase

from backfill_pipeline.config import Cluster, Config
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.retries import Of
from backfill_pipeline.domain.windows import ONE_DAY


def select(
    config: Config, clusters: Sequence[str] = (), customers: Sequence[str] = (), datasets: Sequence[str] = ()
) -> tuple[Of, ...]:
    """Every asset that fits, in the configuration's order; what is not given means all.

    Args:
        customers: ids or globs such as `acme*`, each of which must fit somebody.

    Raises:
        Refused: an unknown cluster or dataset, or a customer or glob that fits nobody: never silently fewer.
    """
    chosen = [c for c in config.clusters if not clusters or c.name in clusters]
    _refuse_unknown("cluster", clusters, [c.name for c in config.clusters])
    _refuse_unknown("dataset", datasets, config.datasets)
    found = [(c, u.id) for c in chosen for u in c.customers if not customers or _fits(u.id, customers)]
    idle = [g for g in customers if not any(_fits(customer, [g]) for _, customer in found)]
    if idle:
        raise _nobody(idle, chosen)
    return tuple(_assets(config, found, datasets))


def refuse_no_partitions(config: Config, wanted: Iterable[Of], days: Iterable[date]) -> None:
    """Before anything is asked for: a run of such a day would fail.

    Raises:
        Refused: a day lies before its cluster's first one, or is not over.
    """
    named = sorted(days)
    if not named:
        return
    first = {c: config.cluster(c).first_day for c in sorted({of.cluster for of in wanted})}
    early = ", ".join(f"{c}: {day}" for c, day in first.items() if named[0] < day)
    yesterday = datetime.now(UTC).date() - ONE_DAY
    if early:
        raise _no_partition(
            named[0], f"before the first day of {early}", "begin later, or set the cluster's `first_day`"
        )
    if named[-1] > yesterday:
        raise _no_partition(named[-1], "it is not over in UTC", f"end with {yesterday} at the latest")


def _no_partition(day: date, why: str, next_step: str) -> Refused:
    return Refused("A day that is no partition", where=str(day), why=why, next_step=next_step)


def _fits(customer: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(customer, glob) for glob in globs)


def _assets(config: Config, found: Sequence[tuple[Cluster, str]], datasets: Sequence[str]) -> Iterator[Of]:
    for dataset in (d for d in config.datasets if not datasets or d in datasets):
        yield from (Of(cluster.name, customer, dataset) for cluster, customer in found)


def _refuse_unknown(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise Refused(
            f"Unknown {what}",
            where=", ".join(map(repr, unknown)),
            why=f"the configuration knows {', '.join(known)}",
            next_step="name some of these",
        )


def _nobody(idle: Sequence[str], clusters: Sequence[Cluster]) -> Refused:
    known = [u.id for c in clusters for u in c.customers]
    more = f" and {len(known) - 20} more" if len(known) > 20 else ""
    return Refused(
        "No such customer",
        where=", ".join(map(repr, idle)),
        why=f"on {', '.join(c.name for c in clusters)} there are {', '.join(known[:20])}{more}",
        next_step="correct the id or the glob",
    )
