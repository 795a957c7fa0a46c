import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill_pipeline.domain.datasets import DATASETS, Target
from backfill_pipeline.domain.deletes import Delete, build_delete, moment_literal
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.markers import Future
from backfill_pipeline.domain.windows import Window
from backfill_pipeline_tests.domain.strategies import ids, moments, utc_moments, windows

TARGETS = [target for dataset in DATASETS.values() for target in dataset.targets]
DAY = Window(date(2026, 1, 15), date(2026, 1, 16))
SKEW = timedelta(seconds=5)
MARKER = datetime(2026, 2, 1, 10, 0, 0, 123456, UTC)
NO_IDS = ["", " ", "%", "'", "acme'", "' OR '1'='1", "'; DROP TABLE score --", "acme\n", "acme\\", "á", "a" * 64, "a,b"]
every_target = pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.table)


def a_delete(
    target: Target = TARGETS[0],
    customer: str = "acme",
    profiles: tuple[str, ...] = ("default",),
    window: Window = DAY,
    marker: datetime = MARKER,
    max_days: int = 31,
) -> Delete:
    return build_delete(target, customer, profiles, window, marker, max_days=max_days)


def test_nobody_elses_rows_are_in_the_whole_text_of_a_delete() -> None:
    assert a_delete(profiles=("retail", "support")).text == (
        "DELETE FROM conversation WHERE customer_id = 'acme' AND profile_id IN ('retail', 'support')"
        " AND conversation_start_time >= toDateTime64('2026-01-15 00:00:00.000', 3, 'UTC')"
        " AND conversation_start_time < toDateTime64('2026-01-16 00:00:00.000', 3, 'UTC')"
        " AND conversation_id != ''"
        " AND update_time < toDateTime64('2026-02-01 10:00:00.123456', 6, 'UTC')"
    )


@every_target
def test_what_is_counted_as_surviving_is_what_was_deleted_in_either_form(target: Target) -> None:
    delete = a_delete(target)
    assert delete.text == f"DELETE FROM {target.table} WHERE {delete.predicate}"
    assert delete.alter == f"ALTER TABLE {target.table} DELETE WHERE {delete.predicate}"
    assert delete.survivors == f"SELECT count() FROM {target.table} WHERE {delete.predicate}"


@every_target
@pytest.mark.parametrize("customer", NO_IDS)
def test_d11_a_delete_without_a_real_customer_is_never_built(target: Target, customer: str) -> None:
    with pytest.raises(Refused, match="Not a valid customer"):
        a_delete(target, customer=customer)


@pytest.mark.parametrize("profiles", [(bad,) for bad in NO_IDS] + [("default", bad) for bad in NO_IDS])
def test_d11_a_delete_with_a_profile_that_is_no_id_is_never_built(profiles: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="Not a valid profile"):
        a_delete(profiles=profiles)


def test_d11_a_delete_of_all_profiles_by_naming_none_is_never_built() -> None:
    with pytest.raises(Refused, match="no profile is named"):
        a_delete(profiles=())


@given(windows(max_days=60), st.integers(1, 60))
def test_d11_a_delete_of_more_days_than_allowed_is_never_built(window: Window, max_days: int) -> None:
    if len(window.days) <= max_days:
        assert a_delete(window=window, max_days=max_days)
        return
    with pytest.raises(Refused, match=f"{len(window.days)} days are above the maximum {max_days}"):
        a_delete(window=window, max_days=max_days)


@pytest.mark.parametrize("table", ["", "score; DROP TABLE score", "default.score", "1score", "score d", "score\n"])
def test_d11_a_table_name_that_is_no_name_is_never_deleted_from(table: str) -> None:
    with pytest.raises(Refused, match="Not a table name"):
        a_delete(replace(TARGETS[0], table=table))


@given(utc_moments, st.integers(1, 2_000_000), ids, st.sampled_from(TARGETS))
def test_d1_two_attempts_never_send_the_same_text(marker: datetime, later: int, customer: str, target: Target) -> None:
    first = a_delete(target, customer, marker=marker)
    second = a_delete(target, customer, marker=marker + timedelta(microseconds=later))
    assert first.needle != second.needle
    assert first.needle not in second.text
    assert first == a_delete(target, customer, marker=marker)


@given(utc_moments, ids, st.lists(ids, min_size=1, max_size=3).map(tuple), windows(max_days=31))
def test_d1_a_mutation_is_found_by_its_marker_and_customer_alone(
    marker: datetime, customer: str, profiles: tuple[str, ...], window: Window
) -> None:
    delete = a_delete(customer=customer, profiles=profiles, window=window, marker=marker)
    assert delete.predicate.count(f"update_time < {delete.needle}") == 1
    assert delete.predicate.startswith(f"{delete.owner} AND ")
    assert delete.owner == f"customer_id = '{customer}'"


@given(utc_moments)
def test_d2_the_bound_of_a_delete_is_its_marker_to_the_microsecond(marker: datetime) -> None:
    found = re.search(r"update_time < toDateTime64\('([^']+)', 6, 'UTC'\)$", a_delete(marker=marker).predicate)
    assert found
    assert datetime.fromisoformat(found[1] + "+00:00") == marker


@given(windows(max_days=31))
def test_p7_the_range_of_a_delete_is_half_open_and_in_utc(window: Window) -> None:
    predicate = a_delete(window=window).predicate
    assert f">= toDateTime64('{window.start} 00:00:00.000', 3, 'UTC')" in predicate
    assert f"conversation_start_time < toDateTime64('{window.end} 00:00:00.000', 3, 'UTC')" in predicate


def test_rows_of_the_future_are_taken_only_where_a_person_asked_for_it() -> None:
    soon = MARKER + timedelta(seconds=11)
    asked = build_delete(TARGETS[0], "acme", ("default",), DAY, MARKER, max_days=31, future=Future(soon, SKEW))
    newer = "update_time > toDateTime64('2026-02-01 10:00:11.123456', 6, 'UTC')"
    assert asked.predicate.endswith(f" AND (update_time < {a_delete().needle} OR {newer})")
    assert "OR" not in a_delete().predicate
    assert (asked.needle, asked.owner) == (a_delete().needle, a_delete().owner)


def test_a_row_that_is_live_when_the_delete_is_sent_does_not_go_as_one_that_was_from_the_future_when_it_was_planned() -> (
    None
):
    planned = build_delete(TARGETS[0], "acme", ("default",), DAY, MARKER, max_days=31, future=Future(MARKER, SKEW))
    sent = planned.at(MARKER + timedelta(hours=1))
    newer = "update_time > toDateTime64('2026-02-01 11:00:05.123456', 6, 'UTC')"
    assert sent.predicate.endswith(f" AND (update_time < {planned.needle} OR {newer})")
    assert (sent.needle, sent.owner) == (planned.needle, planned.owner), "it is found again by these"
    assert a_delete().at(MARKER + timedelta(hours=1)) == a_delete()


@every_target
def test_d7_no_delete_chooses_rows_by_a_column_that_may_change(target: Target) -> None:
    """Unless the table's rows are known to move: those are found by their ids too."""
    columns = re.findall(r"(\w+) (?:=|!=|<|>=|IN) ", a_delete(target).predicate)
    mutable = {"agent_user_id", "conversation_end_time", "score", "submitted_at", "scorecard_time"}
    assert not (mutable - ({target.day_column} if target.moves else set())) & set(columns)
    assert {"customer_id", "profile_id", target.day_column, target.version} <= set(columns)


@every_target
def test_d13_no_delete_holds_what_a_replicated_table_refuses(target: Target) -> None:
    delete = a_delete(target)
    assert not re.search(r"\b(SELECT|now|now64|today|rand|dictGet|IN \(SELECT)\b", delete.text + delete.alter)


@given(moments)
def test_d12_a_marker_stands_as_a_literal_that_no_zone_changes(moment: datetime) -> None:
    literal = moment_literal(moment, 6)
    assert literal == moment_literal(moment.astimezone(UTC), 6)
    assert literal == f"toDateTime64('{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}', 6, 'UTC')"


def test_l3_a_marker_without_a_zone_is_never_taken_in_the_hosts() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        a_delete(marker=MARKER.replace(tzinfo=None))
