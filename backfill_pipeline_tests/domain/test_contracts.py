import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill_pipeline.domain.contracts import (
    Execution,
    Labelled,
    Progress,
    execution_from_line,
    labelled_from_line,
    progress_from,
)
from backfill_pipeline.domain.naming import execution_uuid, workflow_id
from backfill_pipeline_tests.domain.strategies import ids, uuids

LINE = (
    "Created reindex conversations job: name=customers/acme/profiles/default/jobs/j-1, "
    "execution_id=reindexconversations-acme-default-0c6a, cluster=north"
)


@st.composite
def executions(draw: st.DrawFn) -> Execution:
    customer, profile, attempt = draw(ids), draw(ids), draw(uuids)
    uuid = execution_uuid(attempt, "ReindexConversations", customer, profile, datetime(2026, 1, 1, tzinfo=UTC))
    workflow = workflow_id("reindexconversations", customer, profile, uuid)
    return Execution(customer, profile, str(uuid), workflow, draw(ids))


@given(executions())
def test_k4_no_execution_is_lost_on_its_way_through_the_log(execution: Execution) -> None:
    assert execution_from_line(execution.log_line()) == execution


def test_the_log_line_is_the_contracts_to_the_letter() -> None:
    execution = Execution("acme", "default", "j-1", "reindexconversations-acme-default-0c6a", "north")
    assert execution.log_line() == LINE


@pytest.mark.parametrize(
    "line",
    [
        f"2026-01-15T00:00:00Z INFO {LINE}",
        f"{LINE}\n",
        f"{LINE} trace_id=7",
        f"{LINE}, trace_id=7",
        f"\x1b[32m{LINE}\x1b[0m",
        f'time="2026-01-15" level=info msg="{LINE}"',
        json.dumps({"level": "info", "msg": LINE}),
        f'{{"msg":"{LINE}","level":"info"}}',
    ],
)
def test_k4_an_execution_is_found_in_whatever_form_another_worker_logs(line: str) -> None:
    found = execution_from_line(line)
    assert found is not None
    assert found == execution_from_line(LINE)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Created reindex conversations job",
        LINE.replace("Created reindex", "Creating reindex"),
        LINE.replace("customers/acme/", ""),
        LINE.replace("/acme/", "//"),
        LINE.replace(", cluster=north", ""),
        LINE.replace("execution_id=reindexconversations-acme-default-0c6a", "execution_id="),
        LINE.replace("jobs/j-1", "jobs/"),
        "the execution reindexconversations-acme-default-0c6a could not be started",
    ],
)
def test_a_foreign_or_broken_line_is_never_taken_for_an_execution(line: str) -> None:
    assert execution_from_line(line) is None


@pytest.mark.parametrize("digits", [19, 20, 5000])
def test_a_number_that_no_job_can_mean_ends_the_run_that_follows_it_or_is_cut_to_another(digits: int) -> None:
    """Python raises where it has more than 4,300 digits."""
    most = Labelled("acme", "default", 10**18 - 1, 10**18 - 1)
    assert labelled_from_line(most.log_line()) == most
    name = "Labelled conversations: name=customers/acme/profiles/default"
    assert labelled_from_line(f"{name}, done={'9' * digits}, total=1") is None
    assert labelled_from_line(f"{name}, done=1, total={'9' * digits}") is None


counts = st.integers(0, 10**9)


@given(counts, counts, st.integers(1, 10**9), st.dictionaries(st.text(max_size=3), counts).map(lambda c: {"Cursor": c}))
def test_progress_is_not_lost_beside_our_own_cursor(done: int, failed: int, total: int, more: dict[str, Any]) -> None:
    details = json.loads(json.dumps(Progress(done, failed, total).details(**more)))
    assert progress_from(details) == Progress(done, failed, total)
    assert details["Cursor"] == more["Cursor"]


def test_heartbeats_of_the_contract_are_read_and_written_to_the_letter() -> None:
    given_by_others = (
        '{"State":{"ReindexedConversations":350700,"FailedConversations":0,"TotalConversationCount":399042}}'
    )
    progress = progress_from(json.loads(given_by_others))
    assert progress == Progress(350_700, 0, 399_042)
    assert json.dumps(progress.details(), separators=(",", ":")) == given_by_others


def test_a_total_that_is_still_being_counted_is_unknown_and_not_zero() -> None:
    assert progress_from(Progress(5, 0, None).details()) == Progress(5, 0, None)
    assert progress_from({"State": {"ReindexedConversations": 5}}) == Progress(5, 0, None)


@pytest.mark.parametrize(
    "details",
    [
        None,
        {},
        {"Cursor": {"day": 1}},
        {"State": None},
        {"State": "RUNNING"},
        {"State": [1]},
        {"State": {"ReindexedConversations": None}},
        {"State": {"ReindexedConversations": "many"}},
        {"State": {"TotalConversationCount": {}}},
        {"State": {"TotalConversationCount": float("inf")}},
        {"State": {"TotalConversationCount": "9" * 5000}},
        {"State": {"TotalConversationCount": 1e300}},
        {"State": {"TotalConversationCount": 10**18}},
        {"State": {"ReindexedConversations": 10**400}},
        {"State": {"ReindexedConversations": -1}},
    ],
)
def test_a_poller_never_breaks_on_heartbeats_of_another_form(details: Any) -> None:
    assert progress_from(details) is None
