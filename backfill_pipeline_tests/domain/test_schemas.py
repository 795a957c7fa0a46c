from dataclasses import replace
from typing import Any

import pytest

from backfill_pipeline.domain.datasets import DATASETS, LABELS, Target
from backfill_pipeline.domain.schemas import scale_of, schema_mistakes
from backfill_pipeline_tests.domain.schema import schema_of

TARGETS = [target for dataset in DATASETS.values() for target in dataset.targets]
every_target = pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.table)


@every_target
@pytest.mark.parametrize("engine", ["ReplacingMergeTree", "ReplicatedReplacingMergeTree", "SharedReplacingMergeTree"])
def test_a_table_as_we_know_it_is_not_refused(target: Target, engine: str) -> None:
    assert schema_mistakes(target, replace(schema_of(target), engine=engine)) == ()


@every_target
def test_a_key_that_names_utc_is_the_same_key(target: Target) -> None:
    for written in ("_time, 'UTC')", "_time,'UTC')"):
        key = schema_of(target).sorting_key.replace("_time)", written)
        assert written in key
        assert schema_mistakes(target, replace(schema_of(target), sorting_key=key)) == ()


@every_target
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"engine": "MergeTree"}, "engine is MergeTree, expected a ReplacingMergeTree"),
        ({"engine": "ReplicatedMergeTree"}, "engine is ReplicatedMergeTree"),
        ({"engine": "Distributed"}, "engine is Distributed"),
        ({"version_column": "inserted_at"}, "version column is inserted_at, expected update_time"),
        ({"version_column": None}, "version column is None, expected update_time"),
        ({"version_scale": None}, "is no DateTime or DateTime64"),
        ({"sorting_key": "conversation_id"}, "sorting key is (conversation_id), expected ("),
        ({"sorting_key": ""}, "sorting key is ()"),
    ],
)
def test_a_difference_that_changes_a_key_or_version_is_named(
    target: Target, change: dict[str, Any], named: str
) -> None:
    found = schema_mistakes(target, replace(schema_of(target), **change))
    assert [m for m in found if named in m], found


@every_target
@pytest.mark.parametrize("kind", ["String", "Date"])
def test_a_day_column_that_is_no_time_is_named(target: Target, kind: str) -> None:
    found = schema_mistakes(target, replace(schema_of(target), columns={target.day_column: kind}))
    assert f"column {target.day_column} is {kind}, expected a DateTime or DateTime64" in found


def test_either_form_of_the_labels_is_taken_as_the_server_has_it() -> None:
    for key in LABELS.main.sort_keys:
        assert schema_mistakes(LABELS.main, replace(schema_of(LABELS.main), sorting_key=", ".join(key))) == ()


@every_target
def test_another_zone_in_the_key_is_another_key(target: Target) -> None:
    key = schema_of(target).sorting_key.replace("_time)", "_time, 'Asia/Tokyo')")
    assert schema_mistakes(target, replace(schema_of(target), sorting_key=key))


@every_target
def test_another_order_of_the_key_is_another_key(target: Target) -> None:
    key = ", ".join(reversed(target.sort_keys[0]))
    assert schema_mistakes(target, replace(schema_of(target), sorting_key=key))


@every_target
def test_every_column_that_a_delete_needs_is_missed_by_name(target: Target) -> None:
    for column in (*target.ids, target.day_column, target.version):
        left = {n: t for n, t in schema_of(target).columns.items() if n != column}
        found = schema_mistakes(target, replace(schema_of(target), columns=left))
        assert f"column {column} is missing" in found


@every_target
def test_a_column_of_content_may_be_absent_as_older_tables_lack_some(target: Target) -> None:
    needed = {*target.ids, target.day_column, target.version}
    left = {n: t for n, t in schema_of(target).columns.items() if n in needed}
    assert schema_mistakes(target, replace(schema_of(target), columns=left)) == ()


def test_no_mistake_is_hidden_behind_another() -> None:
    broken = replace(schema_of(TARGETS[0]), columns={}, engine="MergeTree", sorting_key="x", version_column="y")
    assert len(schema_mistakes(TARGETS[0], broken)) == 8


@pytest.mark.parametrize(
    ("column_type", "scale"),
    [
        ("DateTime", 0),
        ("DateTime('UTC')", 0),
        ("DateTime64(3)", 3),
        ("DateTime64(3, 'UTC')", 3),
        ("DateTime64(6,'UTC')", 6),
        ("DateTime64(9, 'UTC')", 9),
        ("Date", None),
        ("Date32", None),
        ("UInt64", None),
        ("String", None),
        ("Nullable(DateTime64(3, 'UTC'))", None),
        ("DateTimeX", None),
        ("", None),
    ],
)
def test_a_version_column_is_never_taken_to_be_finer_than_it_is(column_type: str, scale: int | None) -> None:
    assert scale_of(column_type) == scale
