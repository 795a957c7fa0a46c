"""How Dagster's runs ended, as outcomes of days: one query, as a failed run's tags say which days it has done."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from logging import getLogger

import dagster as dg

from backfill_pipeline.defs import tags
from backfill_pipeline.defs.partitions import RANGE_END, RANGE_START
from backfill_pipeline.domain.causes import Cause, Remedy
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.guards import APPROVED_TAG
from backfill_pipeline.domain.naming import dagster_name
from backfill_pipeline.domain.retries import Ended, Of, Outcome
from backfill_pipeline.domain.texts import one_line
from backfill_pipeline.domain.windows import from_inclusive_days, parse_day, windows_of

_LOG = getLogger(__name__)
ENDED = {
    dg.DagsterRunStatus.SUCCESS: Ended.DONE,
    dg.DagsterRunStatus.FAILURE: Ended.FAILED,
    dg.DagsterRunStatus.CANCELED: Ended.CANCELLED,
}
UNFINISHED = [s for s in dg.DagsterRunStatus if s not in ENDED]
OVERLAP = timedelta(seconds=60)  # a run's end is stamped before it is stored, by a clock that may be another machine's
AT_ONCE = 1000  # each is unpacked in Python: a second or two
PAGES = 3  # of a look: the last minute is read again at each, and may hold more runs than a page
MOST_DAYS = 366  # of one run; no configuration allows more
KEPT = (tags.LAUNCHED_BY, tags.WHY, tags.SKIP_LOGS)
AGAIN_OF = "dagster/parent_run_id"  # Dagster's, on a run that is executed again: it inherits all other tags
OF_ITSELF = (tags.CAUSE, tags.REMEDY, tags.EVIDENCE, tags.WHOLE_WINDOW, tags.DONE)
STEPS = 5  # of an asset's graph: inspect, delete, launch, follow, record
WITHOUT_A_WORD = "its process is gone, and nothing was said"
WITHOUT_A_CAUSE = "a step failed and told no cause; its error stands on the run's page"
OF_A_STEP = ("dagster/failure_reason", "STEP_FAILURE")  # Dagster's, on a run whose process lived to see its step fail


@dataclass(frozen=True)
class Page:
    """Runs that ended, oldest first. until: the moment to ask from next. is_last: none that ended before now is left."""

    records: Sequence[dg.RunRecord]
    until: datetime | None
    is_last: bool


def ended_since(instance: dg.DagsterInstance, since: datetime | None, now: datetime) -> Page:
    """As many as a look reads, oldest first; some may be there twice."""
    page = _page(instance, since, now)
    for _ in range(PAGES - 1):
        if page.is_last:
            break
        more = _page(instance, page.until, now)
        page = Page([*page.records, *more.records], more.until, more.is_last)
    return page


def _page(instance: dg.DagsterInstance, since: datetime | None, now: datetime) -> Page:
    """Runs that ended after this moment, and the moment to ask from next.

    That is a little before the newest end, but never so where more may wait than are read at once: a thousand runs that
    were cancelled within a minute would be read again and again, and nothing behind them. Nor is it ever later than now:
    a run of a machine whose clock is ahead would hide what ends until then.
    """
    records = instance.get_run_records(
        dg.RunsFilter(statuses=list(ENDED), updated_after=since),
        limit=AT_ONCE,
        order_by="update_timestamp",
        ascending=True,
    )
    if not records:
        return Page(records, since, is_last=True)
    newest, is_full = stored_at(records[-1]), len(records) >= AT_ONCE
    until = min(newest, now) - (timedelta.resolution if is_full else OVERLAP)
    return Page(records, until, is_last=not is_full or newest > now)


def stored_at(record: dg.RunRecord) -> datetime:
    """When the run changed the last time, by the clock of the machine that said so."""
    return record.update_timestamp.replace(tzinfo=UTC)


def outcomes_of(record: dg.RunRecord, keys: Mapping[dg.AssetKey, Of], now: datetime) -> Sequence[Outcome]:
    """What the run did to the days of each asset that it did as a whole; a failure in part has done some.

    None where nobody foresaw what it is: one run must not hold up the retries of all others.
    """
    try:
        return tuple(_outcomes(record, keys, now))
    except Exception:
        _LOG.exception("Run %s can't be read, so none of its days is retried", record.dagster_run.run_id)
        return ()


def _outcomes(record: dg.RunRecord, keys: Mapping[dg.AssetKey, Of], now: datetime) -> Iterator[Outcome]:
    run, ended = record.dagster_run, ENDED[record.dagster_run.status]
    said = _said(run)
    for key in sorted((run.asset_selection or set()) & keys.keys()):
        days = set(days_of(run.tags)) if _is_whole(run, keys[key]) else set()
        done = days if ended is Ended.DONE else _done(said) & days
        for how, those in ((Ended.DONE, done), (ended, days - done)):
            if those:
                yield _outcome(record, said, keys[key], how, tuple(sorted(those)), now)


def _is_whole(run: dg.DagsterRun, of: Of) -> bool:
    """Not a run of selected steps, as "re-execute from failure" makes it.

    Such a run proves nothing: `inspect` alone would succeed, and end the retries of days that are empty.
    """
    steps = run.step_keys_to_execute
    graph = dagster_name(of.dataset, of.cluster, of.customer)
    return steps is None or sum(s.startswith(f"{graph}.") for s in steps) == STEPS


def _said(run: dg.DagsterRun) -> Mapping[str, str]:
    return said_of(run.run_id, run.tags)


def said_of(run_id: str, run_tags: Mapping[str, str]) -> Mapping[str, str]:
    """What the run told of itself; what it has from the one that it repeats is not its own."""
    return {t: one_line(run_tags[t]) for t in OF_ITSELF if t in run_tags and run_tags.get(tags.SAID_BY) == run_id}


def _kept(run_tags: Mapping[str, str]) -> Mapping[str, str]:
    """An approval is kept as it is or not at all: cleaned, it could name a guard that it did not."""
    approved = {t: v for t, v in run_tags.items() if t.startswith(APPROVED_TAG) and (t + v).isprintable()}
    return {t: one_line(run_tags[t]) for t in KEPT if t in run_tags} | approved


def days_of(run_tags: Mapping[str, str]) -> Sequence[date]:
    """None for a run whose tags name no range, as anybody may launch: it must not stop all others' retries."""
    first = run_tags.get(RANGE_START) or run_tags.get("dagster/partition")
    last = run_tags.get(RANGE_END) or first
    return _days(first, last) if first and last else ()


def at_work(instance: dg.DagsterInstance, keys: Mapping[dg.AssetKey, Of]) -> set[Of]:
    """Whose runs wait or work now."""
    records = instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED))
    return {keys[k] for r in records for k in (r.dagster_run.asset_selection or set()) & keys.keys()}


def ended_retries(instance: dg.DagsterInstance, failed_runs: Collection[str]) -> Sequence[dg.RunRecord]:
    """Runs that the sensor launched for these failed runs, or requests, and that are over."""
    if not failed_runs:
        return ()
    return instance.get_run_records(dg.RunsFilter(statuses=list(ENDED), tags={tags.RETRY_OF: sorted(failed_runs)}))


def done_tag(days: Iterable[date]) -> str:
    """The value of the tag `DONE`."""
    return " ".join(map(str, windows_of(days)))


def _done(said: Mapping[str, str]) -> set[date]:
    """None where the tag is not there: what was materialized just before the process was killed is done again."""
    found = (w.split("..") for w in said.get(tags.DONE, "").split())
    return {d for w in found for d in _days(w[0], w[-1])}


def _days(first: str, last: str) -> Sequence[date]:
    try:
        window = from_inclusive_days(parse_day(first), parse_day(last))
    except Refused:
        return ()
    return window.days if window.end - window.start <= timedelta(days=MOST_DAYS) else ()


def _outcome(
    record: dg.RunRecord, said: Mapping[str, str], of: Of, ended: Ended, days: tuple[date, ...], now: datetime
) -> Outcome:
    run = record.dagster_run
    is_of_a_step = run.tags.get(OF_A_STEP[0]) == OF_A_STEP[1]
    retry_of = None if AGAIN_OF in run.tags else run.tags.get(tags.RETRY_OF)
    at = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else stored_at(record)
    return Outcome(
        of=of,
        days=days,
        run_id=run.run_id,
        ended=ended,
        ended_at=min(at, now),
        made_at=record.create_timestamp.replace(tzinfo=UTC),
        retry_of=retry_of,
        retry=_number(run.tags.get(tags.RETRY), 0) if retry_of else 0,
        job_days=_number(run.tags.get(tags.JOB_DAYS), len(days_of(run.tags))),
        cause=said.get(tags.CAUSE, Cause.UNKNOWN.value),
        remedy=_remedy(said, Remedy.ONCE if is_of_a_step else Remedy.AGAIN),
        evidence=said.get(tags.EVIDENCE, WITHOUT_A_CAUSE if is_of_a_step else WITHOUT_A_WORD),
        whole_window=said.get(tags.WHOLE_WINDOW) == "true",
        kept=_kept(run.tags),
    )


def _remedy(said: Mapping[str, str], otherwise: Remedy) -> Remedy:
    """A run that could not say why it failed was killed with its process, mostly: nothing is wrong with its window."""
    told = said.get(tags.REMEDY)
    return Remedy(told) if told in list(Remedy) else otherwise


def _number(text: str | None, otherwise: int) -> int:
    """A tag may be anybody's; the ledger's column takes no number of ten digits."""
    return int(text) if text and re.fullmatch("[0-9]{1,4}", text) else otherwise
