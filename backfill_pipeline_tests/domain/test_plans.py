import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given

from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.plans import Attempt, Plan, PlanLimits, plan_window
from backfill_pipeline.domain.strays import Stray
from backfill_pipeline.domain.windows import Window, parse_rfc3339
from backfill_pipeline_tests.domain.strategies import an_attempt, attempts

LABEL_VALUE = r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?"
LABEL_KEY = r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"


def plan_of(attempt: Attempt, max_days: int = 31, strays: Mapping[str, Sequence[Stray]] | None = None) -> Plan:
    limits = PlanLimits(max_days, job_deadline_seconds=60, longest=timedelta(hours=24))
    return plan_window(attempt, limits, strays)


@given(attempts())
def test_a_dry_run_never_lies_as_the_same_attempt_has_the_same_plan(attempt: Attempt) -> None:
    shown, carried_out = plan_of(attempt), plan_of(attempt)
    assert shown == carried_out
    assert json.loads(json.dumps(asdict(shown))) == json.loads(json.dumps(asdict(carried_out)))


def test_the_job_gets_exactly_the_env_of_the_contract() -> None:
    assert plan_of(an_attempt()).launches[0].env == {
        "REINDEX_MODE": "conversation",
        "REINDEX_START_TIME": "2026-01-01T00:00:00Z",
        "REINDEX_END_TIME": "2026-01-04T00:00:00Z",
        "RUN_ONLY_FOR_CUSTOMER_IDS": "acme",
        "REINDEX_MARKER": "2026-02-01T10:00:00.123456Z",
        "REINDEX_ATTEMPT_ID": "00000000-0000-0000-0000-000000000001",
    }


@given(attempts())
def test_the_job_writes_above_the_marker_that_the_delete_was_bounded_by(attempt: Attempt) -> None:
    plan = plan_of(attempt)
    assert parse_rfc3339(plan.launches[0].env["REINDEX_MARKER"]) == attempt.marker
    assert {d.needle for d in plan.deletes} == {f"toDateTime64('{attempt.marker:%Y-%m-%d %H:%M:%S.%f}', 6, 'UTC')"}


@given(attempts())
def test_what_is_deleted_is_loaded_again_and_nothing_else(attempt: Attempt) -> None:
    plan, window = plan_of(attempt), attempt.window
    assert parse_rfc3339(plan.launches[0].env["REINDEX_START_TIME"]) == window.start_time
    assert parse_rfc3339(plan.launches[0].env["REINDEX_END_TIME"]) == window.end_time
    for delete in plan.deletes:
        assert f">= toDateTime64('{window.start} 00:00:00.000', 3, 'UTC')" in delete.predicate
        assert f"< toDateTime64('{window.end} 00:00:00.000', 3, 'UTC')" in delete.predicate
        assert delete.owner == f"customer_id = '{plan.launches[0].env['RUN_ONLY_FOR_CUSTOMER_IDS']}'"


def test_no_orphan_is_left_where_deletes_are_cut_off_half_way() -> None:
    assert [d.table for d in plan_of(an_attempt()).deletes] == ["score", "scorecard", "conversation"]


@given(attempts())
def test_k3_every_label_is_one_that_kubernetes_takes(attempt: Attempt) -> None:
    labels = plan_of(attempt).launches[0].labels
    assert all(re.fullmatch(LABEL_KEY, key) for key in labels)
    assert all(re.fullmatch(LABEL_VALUE, value) for value in labels.values())
    assert labels["backfill-pipeline/attempt"] == attempt.attempt_id


def test_who_looks_at_a_job_sees_whose_it_is() -> None:
    assert plan_of(an_attempt(customer="-a_")).launches[0].annotations == {
        "backfill-pipeline/customer": "-a_",
        "backfill-pipeline/run": "00000000-0000-0000-0000-000000000002",
        "backfill-pipeline/window": "2026-01-01..2026-01-03",
    }


def test_k2_a_step_run_again_names_the_same_job_and_a_new_attempt_another() -> None:
    first = an_attempt()
    again = an_attempt(run_id="another", fence=7, marker=datetime(2026, 3, 1, tzinfo=UTC))
    assert plan_of(first).launches[0].job_name == plan_of(again).launches[0].job_name
    assert plan_of(first).launches[0].job_name != plan_of(an_attempt(attempt_id="2")).launches[0].job_name


@pytest.mark.parametrize(
    "changes",
    [
        {"customer": ""},
        {"customer": "acme' OR 1=1 --"},
        {"profiles": ()},
        {"profiles": ("",)},
        {"window": Window(date(2026, 1, 1), date(2026, 3, 1))},
    ],
)
def test_d11_no_plan_is_made_of_a_window_without_bounds(changes: dict[str, object]) -> None:
    with pytest.raises(Refused):
        plan_of(an_attempt(**changes))


def test_the_label_job_finds_conversations_that_began_before_midnight_and_writes_none_of_other_days() -> None:
    assert plan_of(replace(an_attempt(), dataset="labels")).launches[0].env == {
        "ENABLE_LABEL_CONVERSATIONS_WITH_AGENT_ASSISTANCE": "true",
        "LABEL_CONVERSATIONS_WITH_AGENT_ASSISTANCE_CONV_START_AT_RANGE_START": "2025-12-31T00:00:00Z",
        "LABEL_CONVERSATIONS_WITH_AGENT_ASSISTANCE_CONV_END_AT_RANGE_START": "2026-01-01T00:00:00Z",
        "LABEL_CONVERSATIONS_WITH_AGENT_ASSISTANCE_CONV_END_AT_RANGE_END": "2026-01-04T00:00:00Z",
        "FILTER_CUSTOMER_IN_LABEL_CONVERSATIONS_WITH_AGENT_ASSISTANCE": "acme",
        "REINDEX_MARKER": "2026-02-01T10:00:00.123456Z",
        "REINDEX_ATTEMPT_ID": "00000000-0000-0000-0000-000000000001",
    }


def test_rows_of_the_windows_ids_go_wherever_they_lie_in_the_one_statement_of_their_table() -> None:
    strays = {"conversation_with_labels": [Stray("default", "o'hara\\'; --🙂", (date(2026, 1, 9),))]}
    (delete,) = plan_of(replace(an_attempt(), dataset="labels"), strays=strays).deletes
    assert delete.text == (
        "DELETE FROM conversation_with_labels WHERE customer_id = 'acme' AND profile_id IN ('retail', 'support')"
        " AND ((conversation_end_time >= toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC')"
        " AND conversation_end_time < toDateTime64('2026-01-04 00:00:00.000', 3, 'UTC') AND 1)"
        " OR (profile_id, conversation_id, toString(toDate(conversation_end_time, 'UTC')))"
        " IN (('default', 'o\\'hara\\\\\\'; --🙂', '2026-01-09')))"
        " AND update_time < toDateTime64('2026-02-01 10:00:00.123456', 6, 'UTC')"
    )


def test_d16_the_jobs_of_a_cut_window_tile_it_and_its_delete_is_one() -> None:
    """A hole would stay empty, an overlap would be loaded twice."""
    window = Window(date(2026, 1, 1), date(2026, 2, 1))
    attempt = replace(an_attempt(), window=window, job_days=10)
    plan = plan_of(attempt)
    ranges = [(launch.env["REINDEX_START_TIME"], launch.env["REINDEX_END_TIME"]) for launch in plan.launches]
    assert [parse_rfc3339(start) for start, _ in ranges] == [w.start_time for w in window.split(10)]
    assert [end for _, end in ranges[:-1]] == [start for start, _ in ranges[1:]]
    assert parse_rfc3339(ranges[-1][1]) == window.end_time
    assert len({launch.job_name for launch in plan.launches}) == 4
    assert plan.deletes == plan_of(replace(attempt, job_days=None)).deletes


def test_an_attempt_of_one_part_keeps_the_name_that_it_had() -> None:
    attempt = an_attempt()
    whole = replace(attempt, job_days=len(attempt.window.days))
    assert plan_of(attempt).launches == plan_of(whole).launches


def test_whoever_finds_the_job_on_the_cluster_reads_who_asked_for_it_and_why() -> None:
    notes = (("launched-by", "an operator"), ("why", "stale since\nthe 3rd"), ("retry", "2"))
    attempt = replace(an_attempt(), notes=notes, job_days=1)
    for launch in plan_of(attempt).launches:
        assert launch.annotations["backfill-pipeline/launched-by"] == "an operator"
        assert launch.annotations["backfill-pipeline/why"] == "stale since\nthe 3rd"
        assert launch.annotations["backfill-pipeline/retry"] == "2"
        assert set(launch.labels) == set(plan_of(an_attempt()).launches[0].labels)


def test_a_reason_that_is_long_keeps_every_job_from_being_made() -> None:
    """Kubernetes takes 256 KiB for all annotations of an object together, in UTF-8."""
    notes = (("launched-by", "€" * 300_000), ("why", "stale " * 50_000))
    [launch] = plan_of(replace(an_attempt(), notes=notes)).launches
    assert launch.annotations["backfill-pipeline/why"].startswith("stale stale ")
    assert launch.annotations["backfill-pipeline/why"].endswith(" …")
    assert sum(len(f"{name}{text}".encode()) for name, text in launch.annotations.items()) < 10_000
