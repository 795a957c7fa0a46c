"""What `benchmarks/january` says of a run is believed, so its counting can't be wrong. The whole of it: e2e/test_january.py."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from backfill_pipeline.config import load
from benchmarks.january.measure import peak
from benchmarks.january.outcome import OfCluster
from benchmarks.january.story import Kind, story
from benchmarks.january.watch import Watch, key_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def span(start: int, end: int) -> tuple[datetime, datetime]:
    return NOON + timedelta(seconds=start), NOON + timedelta(seconds=end)


def test_a_limit_that_was_passed_for_a_moment_between_two_looks_is_seen() -> None:
    assert peak([span(0, 100), span(10, 20), span(19, 30), span(200, 300)]) == 3
    assert peak([]) == 0


def test_one_that_begins_as_another_ends_is_not_beside_it() -> None:
    assert peak([span(0, 10), span(10, 20)]) == 1


def test_the_whole_story_has_the_spread_of_the_seeds_and_their_four_large_customers() -> None:
    whole = story(8, 260, 31, 0.001)
    assert [len(ids) for ids in whole.customers.values()] == [86, 80, 49, 28, 6, 5, 4, 2]
    assert len(set(whole.everybody)) == 260
    kinds = [(s.cluster, s.fault.kind, s.fault.above_days) for s in whole.struck]
    assert kinds == [("amber", Kind.STALL, 10)] * 2 + [("birch", Kind.DEADLOCK, 1)] * 2
    volumes = whole.conversations_a_day()
    assert volumes["hooli"] / volumes["globex"] == pytest.approx(4.2 / 1.3)


def test_a_short_story_has_one_of_each_fault() -> None:
    assert [s.fault.kind for s in story(2, 6, 11, 0.001).struck] == [Kind.STALL, Kind.DEADLOCK]
    with pytest.raises(ValueError, match="too few"):
        story(8, 15, 11, 0.001)


def test_a_run_that_dagster_gave_up_and_that_did_its_days_all_the_same_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A start that takes minutes counts as failed, and its process goes on."""
    for name in ("LEDGER_PASSWORD", "NORTH_PG_PASSWORD", "NORTH_CH_PASSWORD"):
        monkeypatch.setenv(name, "-")
    short = story(2, 6, 11, 0.001)
    who = short.everybody[0]
    with dg.instance_for_test() as instance:
        watch = Watch(short, load("config.example.yaml"), instance, print)
        run = dg.DagsterRun(job_name="__ASSET_JOB", asset_selection=frozenset({key_of(who)}))
        instance.add_run(run)
        instance.report_run_failed(run, "Run timed out due to taking longer than 180 seconds to start.")
        watch._looked()
        assert who not in watch.done
        for day in short.window.days:
            instance.report_runless_asset_event(dg.AssetMaterialization(key_of(who), partition=str(day)))
        over = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name)
        instance.report_dagster_event(over, run_id=run.run_id)
        watch._looked()
        assert who in watch.done


@pytest.mark.parametrize(("changed", "is_right"), [({}, True), ({"days_proved": 21}, False), ({"peak_runs": 3}, False)])
def test_a_cluster_with_a_day_unproved_or_a_limit_passed_is_not_right(changed: dict[str, int], is_right: bool) -> None:
    good = {
        "customers": 2,
        "days_proved": 22,
        "days": 22,
        "runs": 2,
        "workflows": 2,
        "peak_runs": 2,
        "peak_workflows": 1,
    }
    assert OfCluster(**{**good, "limit": 2, **changed}).is_right is is_right
