"""What a run tells of itself when a step fails, and what the retry sensor makes of it."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from backfill_pipeline.config import Config
from backfill_pipeline.definitions import definitions_of
from backfill_pipeline.defs import ops, tags
from backfill_pipeline.defs.ended_runs import WITHOUT_A_CAUSE, done_tag, outcomes_of
from backfill_pipeline.defs.memory import Memory
from backfill_pipeline.defs.partitions import range_tags
from backfill_pipeline.defs.retry import Looker
from backfill_pipeline.defs.telling import tell_cause, telling
from backfill_pipeline.domain.causes import Cause, Remedy
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.failures import diagnose_error
from backfill_pipeline.domain.retries import Ended, Of, Outcome, fold
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.steps import inspect
from backfill_pipeline.steps.systems import open_ledger
from backfill_pipeline.stores.failed_days import write_failed_days
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline_tests.defs.ended import POLICY, Site, Status, day, windows
from backfill_pipeline_tests.live import Live

TEN = Window(date(2026, 1, 1), date(2026, 1, 11))
GLOBEX = Of("north", "globex", "conversations")
KEY = dg.AssetKey(["conversations", "north", "globex"])
SECRET = "hunter2-do-not-print"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


def outcome(instance: dg.DagsterInstance, config: Config, window: Window = TEN, **given: str) -> Outcome:
    """How a run of the real steps ended for days of globex, as the retry sensor reads it."""
    job = definitions_of(config).get_repository_def().get_implicit_job_def_for_assets([KEY])
    assert job
    result = job.execute_in_process(
        instance=instance, asset_selection=[KEY], tags={**range_tags(window), **given}, raise_on_error=False
    )
    record_ = instance.get_run_record_by_id(result.run_id)
    assert record_
    (found,) = outcomes_of(record_, {KEY: GLOBEX}, datetime.now(UTC))
    return found


def hurried(config: Config) -> Config:
    """The source of cluster north ends each statement at once."""
    north, *others = config.clusters
    assert north.postgres
    hurried = north.postgres.model_copy(update={"statement_timeout_seconds": 0.001})
    return config.model_copy(update={"clusters": [north.model_copy(update={"postgres": hurried}), *others]})


def test_p3_a_count_that_takes_too_long_for_the_window_is_not_repeated_for_the_window(
    engines: Live, instance: dg.DagsterInstance
) -> None:
    engines.make_data()
    failed = outcome(instance, hurried(engines.config))
    assert (failed.cause, failed.remedy, failed.whole_window) == (Cause.STATEMENT_TIMEOUT, Remedy.SMALLER, True)
    looker = Looker(instance, open_ledger(engines.config), {KEY: GLOBEX}, POLICY)
    tick = looker.look(Memory(), datetime.now(UTC) + timedelta(hours=9))
    assert [(str(r.window), r.job_days) for r in tick.due] == [("2026-01-01..2026-01-05", 5)]


def unforeseen(*_: object, **__: object) -> Any:
    raise KeyError(f"total_rows of postgresql://me:{SECRET}-too@db/app with {SECRET}")


@pytest.mark.parametrize(
    "broken", [(inspect, "inspect"), (ops, "_claim"), (Ledger, "write_step"), (Ledger, "read_step")]
)
def test_an_error_that_nobody_foresaw_does_not_delete_the_day_five_times(
    engines: Live, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, broken: tuple[Any, str]
) -> None:
    """It was told as a process that is gone, which nothing is wrong with. The step records' IO manager told nothing at all."""
    engines.make_data()
    monkeypatch.setattr(*broken, unforeseen)
    one_day = day(len(broken[1]) - 1)  # a day of its own for each: the lease of the last one is not over yet
    address = engines.config.ledger
    assert address
    monkeypatch.setenv("SECRET_OF_TEST", SECRET)
    ledger = address.model_copy(update={"password_env": "SECRET_OF_TEST", "password_file": None})
    monkeypatch.setattr("backfill_pipeline.defs.resources.open_ledger", lambda _: open_ledger(engines.config))
    monkeypatch.setattr("backfill_pipeline.steps.systems.open_ledger", lambda _: open_ledger(engines.config))
    failed = outcome(instance, engines.config.model_copy(update={"ledger": ledger}), one_day)
    assert (failed.cause, failed.remedy, failed.whole_window) == (Cause.UNKNOWN, Remedy.ONCE, False)
    assert failed.evidence == "KeyError: 'total_rows of postgresql://***@db/app with ***'"


def test_a_step_that_failed_and_told_nothing_is_not_taken_for_a_process_that_is_gone(
    engines: Live, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "_with_systems", unforeseen)
    failed = outcome(instance, engines.config)
    assert (failed.remedy, failed.evidence) == (Remedy.ONCE, WITHOUT_A_CAUSE)


@pytest.mark.parametrize("is_repeated", [False, True])
def test_a_retry_that_was_cancelled_while_it_was_launched_deletes_nothing(
    engines: Live, instance: dg.DagsterInstance, is_repeated: bool
) -> None:
    """A person who executes it again wants it after all."""
    engines.make_data()
    ledger, window = open_ledger(engines.config), day(2)
    cancelled = Outcome(
        GLOBEX, window.days, "cancelled", Ended.CANCELLED, datetime.now(UTC), evidence="withdrawn by me"
    )
    write_failed_days(ledger, fold({}, [cancelled]).values())
    again = {"dagster/parent_run_id": "another"} if is_repeated else {}
    ended = outcome(instance, engines.config, window, **{tags.RETRY_OF: "cancelled", **again})
    assert ended.ended is (Ended.DONE if is_repeated else Ended.FAILED)
    assert ("withdrawn by me" in ended.evidence) is not is_repeated


class Told:
    """A step that keeps what is told of it."""

    run_id = "run"

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.instance: Any = self
        self.log: Any = self

    def error(self, _: str) -> None:
        """Not on the test's output."""

    def add_run_tags(self, _: str, told: dict[str, str]) -> None:
        self.tags |= told


@pytest.mark.parametrize("ends", [KeyboardInterrupt, SystemExit, dg.Failure])
def test_a_run_that_is_cancelled_tells_no_cause(engines: Live, ends: Callable[[], BaseException]) -> None:
    step = Told()
    with pytest.raises(ends), telling(step, engines.config):  # type: ignore[arg-type]
        raise ends()
    assert step.tags == {}


def test_what_smaller_jobs_mend_is_told_apart_from_what_takes_the_whole_window(engines: Live) -> None:
    error = PipelineError("too much", where="-", why="-", next_step="-", kind=Kind.RETRY)
    for whole in (False, True):
        step = Told()
        with pytest.raises(PipelineError), telling(step, engines.config, whole_window=whole):
            raise error
        assert step.tags[tags.WHOLE_WINDOW] == str(whole).lower()


def test_days_that_the_first_run_had_done_are_not_taken_for_done_when_the_run_that_repeats_it_fails(site: Site) -> None:
    """It has the first one's tags, has deleted all days again, and tells why it failed."""
    first = {tags.SAID_BY: "first", tags.DONE: done_tag([date(2026, 1, 2)]), tags.WHOLE_WINDOW: "true"}
    again = site.ran(Status.FAILURE, **first, **{"dagster/parent_run_id": "first"})
    step = Told()
    step.run_id, step.instance = again, site.instance
    error = PipelineError("a deadlock", where="-", why="-", next_step="-", kind=Kind.RETRY)
    tell_cause(step, diagnose_error(error))
    tick = site.tick()
    assert windows(tick) == ["2026-01-01..2026-01-03"]
    assert not any(s.last.whole_window for s in tick.days.values())
