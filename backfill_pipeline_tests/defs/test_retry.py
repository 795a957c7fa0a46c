"""The retry sensor's choice, on a real Dagster instance with runs in every state."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from backfill_pipeline.config import Limits
from backfill_pipeline.defs.ops import BY_HAND_TAG, _left_to_a_person
from backfill_pipeline.defs.partitions import RANGE_END, RANGE_START, range_tags
from backfill_pipeline.defs.retry import RETRY_TAG, Failed, _failed, _is_due, _requests
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.windows import Window

KEY = dg.AssetKey(["conversations", "north", "acme"])
OTHER = dg.AssetKey(["conversations", "north", "acme-east"])
WINDOW = Window(date(2026, 1, 1), date(2026, 1, 4))
LIMITS = Limits(retry_attempts=3, retry_delay_seconds=60)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


def run(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus,
    window: Window = WINDOW,
    key: dg.AssetKey = KEY,
    **tags: str,
) -> str:
    return str(
        create_run_for_test(
            instance, asset_selection=frozenset({key}), status=status, tags={**range_tags(window), **tags}
        ).run_id
    )


def found(instance: dg.DagsterInstance) -> list[Failed]:
    return list(_failed(instance, {KEY, OTHER}))


def test_a_failed_day_is_left_red_for_ever_unless_its_newest_run_is_looked_at(instance: dg.DagsterInstance) -> None:
    failed = run(instance, dg.DagsterRunStatus.FAILURE)
    assert [(f.run_id, f.days) for f in found(instance)] == [(failed, WINDOW.days)]


def test_a_day_that_another_run_did_meanwhile_is_not_deleted_again(instance: dg.DagsterInstance) -> None:
    run(instance, dg.DagsterRunStatus.FAILURE)
    run(instance, dg.DagsterRunStatus.SUCCESS, Window(date(2026, 1, 2), date(2026, 1, 3)))
    (left,) = found(instance)
    assert left.days == (date(2026, 1, 1), date(2026, 1, 3))


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.NOT_STARTED])
def test_a_day_that_is_being_done_is_not_done_twice(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> None:
    run(instance, dg.DagsterRunStatus.FAILURE)
    run(instance, status)
    assert found(instance) == []


def test_a_run_cancelled_by_hand_is_not_started_again_behind_its_operators_back(instance: dg.DagsterInstance) -> None:
    run(instance, dg.DagsterRunStatus.FAILURE)
    run(instance, dg.DagsterRunStatus.CANCELED)
    assert found(instance) == []


@pytest.mark.parametrize(
    "tags", [{RANGE_START: "2026-01-08", RANGE_END: "2026-01-02"}, {RANGE_START: "yesterday", RANGE_END: "2026-01-02"}]
)
def test_a_run_with_a_reversed_range_does_not_stop_the_retries_of_all_others(
    instance: dg.DagsterInstance, tags: dict[str, str]
) -> None:
    failed = run(instance, dg.DagsterRunStatus.FAILURE)
    run(instance, dg.DagsterRunStatus.FAILURE, **tags)
    assert [f.run_id for f in found(instance)] == [failed]


def test_another_customers_success_does_not_hide_a_failure(instance: dg.DagsterInstance) -> None:
    run(instance, dg.DagsterRunStatus.FAILURE)
    run(instance, dg.DagsterRunStatus.SUCCESS, key=OTHER)
    assert [f.key for f in found(instance)] == [KEY]


def test_days_that_the_failed_run_materialized_are_not_deleted_again(instance: dg.DagsterInstance) -> None:
    failed = run(instance, dg.DagsterRunStatus.FAILURE)
    event = dg.DagsterEvent(
        dg.DagsterEventType.ASSET_MATERIALIZATION.value,
        "job",
        event_specific_data=dg._core.events.StepMaterializationData(  # type: ignore[attr-defined]
            dg.AssetMaterialization(KEY, partition="2026-01-02")
        ),
    )
    instance.report_dagster_event(event, failed)
    (left,) = found(instance)
    assert left.days == (date(2026, 1, 1), date(2026, 1, 3))


@pytest.mark.parametrize(("kind", "is_left"), [(Kind.MISSING, True), (Kind.UNREACHABLE, False), (Kind.REFUSED, False)])
def test_p8_a_run_that_lacked_a_column_is_not_retried(instance: dg.DagsterInstance, kind: Kind, is_left: bool) -> None:
    @dg.op
    def inspect(context: dg.OpExecutionContext) -> None:
        with _left_to_a_person(context):
            raise PipelineError("no such column", where="-", why="-", next_step="-", kind=kind)

    @dg.job(tags=range_tags(WINDOW))
    def failing() -> None:
        inspect()

    result = failing.execute_in_process(instance=instance, raise_on_error=False)
    tags = dict(instance.get_run_by_id(result.run_id).tags)  # type: ignore[union-attr]
    assert (BY_HAND_TAG in tags) is is_left
    run(instance, dg.DagsterRunStatus.FAILURE, **tags)
    assert (found(instance) == []) is is_left


FAILED = Failed(KEY, "run-1", WINDOW.days, 0, ended=1000.0)


def test_a_database_that_is_down_is_not_hammered_the_delay_doubles_with_every_retry() -> None:
    assert [_is_due(replace(FAILED, retry=n), LIMITS, 1000 + 60 * 2**n - 1) for n in range(3)] == [False] * 3
    assert [_is_due(replace(FAILED, retry=n), LIMITS, 1000 + 60 * 2**n) for n in range(3)] == [True] * 3


def test_a_day_that_never_succeeds_is_left_after_the_last_attempt() -> None:
    assert not _is_due(replace(FAILED, retry=3), LIMITS, 1e12)


def test_s1_a_retry_is_not_dropped_because_an_earlier_ones_run_key_is_remembered() -> None:
    keys = {r.run_key for n in range(3) for r in _requests(replace(FAILED, retry=n))}
    keys |= {r.run_key for r in _requests(replace(FAILED, run_id="run-2"))}
    assert len(keys) == 4


def test_s4_days_and_attempt_reach_the_run_as_tags() -> None:
    holed = replace(FAILED, days=(date(2026, 1, 1), date(2026, 1, 3)))
    first, third = (dict(r.tags) for r in _requests(holed))
    assert range_tags(Window(date(2026, 1, 1), date(2026, 1, 2))).items() <= first.items()
    assert range_tags(Window(date(2026, 1, 3), date(2026, 1, 4))).items() <= third.items()
    assert first[RETRY_TAG] == third[RETRY_TAG] == "1"
