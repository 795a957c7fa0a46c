"""Counts and fingerprints of PostgreSQL and ClickHouse: equal for equal rows, however odd, different for any change."""

import random
import struct
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from backfill_pipeline.config import Limits
from backfill_pipeline.domain.datasets import CONVERSATIONS, LABELS, Content, Target
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.verdicts import Sums, Verdict, judge_days, together
from backfill_pipeline.steps.inspect import columns_of
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.coverage import coverage
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.stores.schemas import read_schemas
from backfill_pipeline.stores.source import source_sums
from backfill_pipeline.stores.sql.verify.fingerprints import (
    clickhouse_fingerprint,
    compared,
    postgres_fingerprint,
)
from backfill_pipeline.stores.target import target_sums
from backfill_pipeline.worker.transfer.engine import Transfer
from backfill_pipeline.worker.transfer.recipes import RECIPES
from backfill_pipeline.worker.transfer.slices import Request
from backfill_pipeline_tests.stores.claims import window
from backfill_pipeline_tests.worker import loads, people

DAYS = window(1, 4)
TABLES = (*CONVERSATIONS.targets, LABELS.main)
WHO = (CONVERSATIONS, "acme", ["default"], DAYS)
LONG = "0123456789abcdé" * 6_400
TEXTS = [
    "",
    "n",
    "v",
    "\x1f",
    "a\x1fvb",
    "🙂 谢谢 👩‍🚀",
    "'; DROP TABLE score; --",
    "\\N",
    "two\nlines",
    " x ",
    "NULL",
    LONG,
]
FLOATS = [0.0, -0.0, 1e-7, 1e21, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, float("nan"), float("inf"), -float("inf")]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = [EPOCH, EPOCH - timedelta(microseconds=1), datetime(2026, 1, 1, 23, 59, 59, 999999, UTC),
           datetime(2299, 12, 31, 23, 59, 59, 999000, UTC), datetime(1900, 1, 1, tzinfo=UTC)]  # fmt: skip
SAMPLES: Mapping[Content, list[Any]] = {
    Content.TEXT: TEXTS, Content.FLOAT: FLOATS, Content.INTEGER: [0, -1, 2**31 - 1, -(2**31)],
    Content.FLAG: [True, False], Content.MOMENT: MOMENTS,
    Content.TEXTS: [[], [""], ["", ""], ["a", "b"], ["ab"], ["a\x1eb"], ["a\x1f1:b"], ["b", "a"], TEXTS],
}  # fmt: skip
ARROW = {
    Content.TEXT: pa.string(), Content.FLOAT: pa.float64(), Content.INTEGER: pa.int32(), Content.FLAG: pa.bool_(),
    Content.MOMENT: pa.timestamp("us", "UTC"), Content.TEXTS: pa.list_(pa.string()),
}  # fmt: skip
PG = {
    Content.TEXT: "text", Content.FLOAT: "float8", Content.INTEGER: "int", Content.FLAG: "bool",
    Content.MOMENT: "timestamptz", Content.TEXTS: "text[]",
}  # fmt: skip
CH = {
    Content.TEXT: "String", Content.FLOAT: "Float64", Content.INTEGER: "Int32", Content.FLAG: "Bool",
    Content.MOMENT: "DateTime64(3, 'UTC')", Content.TEXTS: "Array(String)",
}  # fmt: skip


def random_rows(target: Target, seed: int, count: int = 40) -> list[dict[str, Any]]:
    """Every sample stands in some row; a third of the values is NULL."""
    rng, kinds = random.Random(seed), kinds_of(target)
    rows = [{n: None if may_be_null(k) and rng.random() < 0.3 else rng.choice(SAMPLES[k]) for n, k in kinds.items()}
            for _ in range(count)]  # fmt: skip
    for name, kind in kinds.items():
        for row, value in zip(rows, SAMPLES[kind], strict=False):
            row[name] = value
    return rows


def may_be_null(kind: Content) -> bool:
    return kind is not Content.TEXTS  # an array is never NULL in ClickHouse


def kinds_of(target: Target) -> dict[str, Content]:
    every = dict.fromkeys([*target.ids, *target.content], "")
    return compared(target, every)


def by_postgres(postgres: Postgres, target: Target, rows: list[dict[str, Any]]) -> list[int]:
    kinds = kinds_of(target)
    columns = ", ".join(f"{n} {PG[k]}" for n, k in kinds.items())
    marks = ", ".join(["%s"] * (len(kinds) + 1))
    with postgres.connection() as connection:
        connection.execute(f"CREATE TEMP TABLE r (i int, {columns})".encode())
        with connection.cursor() as cursor:
            values = [[i, *(row[n] for n in kinds)] for i, row in enumerate(rows)]
            cursor.executemany(f"INSERT INTO r VALUES ({marks})".encode(), values)
        found = connection.execute(f"SELECT {postgres_fingerprint(kinds)} FROM r ORDER BY i".encode())
        return [r[0] for r in found.fetchall()]


def by_clickhouse(clickhouse: ClickHouse, target: Target, rows: list[dict[str, Any]]) -> list[int]:
    kinds, shard = kinds_of(target), clickhouse.shards[0]
    columns = ", ".join(f"{n} {f'Nullable({CH[k]})' if may_be_null(k) else CH[k]}" for n, k in kinds.items())
    shard.client().command("DROP TABLE IF EXISTS r SYNC")
    shard.client().command(f"CREATE TABLE r (i Int32, {columns}) ENGINE = MergeTree ORDER BY i")
    arrays = {n: pa.array([floored(row[n]) for row in rows], ARROW[k]) for n, k in kinds.items()}
    shard.client().insert_arrow("r", pa.table({"i": pa.array(range(len(rows)), pa.int32()), **arrays}))
    return [r[0] for r in shard.query(f"SELECT {clickhouse_fingerprint(kinds)} FROM r ORDER BY i")]


def floored(value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    micros = (value - EPOCH) // timedelta(microseconds=1)
    return EPOCH + timedelta(milliseconds=micros // 1000)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("target_table", TABLES, ids=lambda t: t.table)
def test_equal_rows_would_be_called_different_if_the_engines_wrote_a_value_differently(
    source: Postgres, target: ClickHouse, target_table: Target, seed: int
) -> None:
    rows = random_rows(target_table, seed)
    assert by_postgres(source, target_table, rows) == by_clickhouse(target, target_table, rows)


def changed(value: Any, kind: Content) -> Iterator[Any]:
    """Values near by that must not be taken for this one."""
    if value is not None and may_be_null(kind):
        yield None
    if kind is Content.TEXTS:
        yield from ([*value, ""], ["\x1e".join(value)], [*value, *value][1:])
    elif kind is Content.TEXT:
        yield "" if value is None else f"{value} "
    elif kind is Content.FLOAT and value is not None:
        bits = struct.unpack("<q", struct.pack("<d", value))[0]
        yield struct.unpack("<d", struct.pack("<q", bits ^ 1))[0]
    elif kind is Content.MOMENT and value is not None:
        yield value + timedelta(milliseconds=1)
    elif value is not None:
        yield not value if kind is Content.FLAG else value ^ 1


@pytest.mark.parametrize("target_table", TABLES, ids=lambda t: t.table)
def test_a_row_with_one_changed_value_is_never_called_equal(
    source: Postgres, target: ClickHouse, target_table: Target
) -> None:
    rows = random_rows(target_table, 5, 12)
    others = [
        {**row, name: other}
        for row in rows
        for name, kind in kinds_of(target_table).items()
        for other in changed(row[name], kind)
        if row[name] != LONG
    ]
    found = by_clickhouse(target, target_table, [*rows, *others])
    assert len({*found}) == len({stored(r) for r in [*rows, *others]})


def stored(row: dict[str, Any]) -> str:
    """The row as ClickHouse holds it: milliseconds, and one NaN bit pattern is not another."""
    bits = {n: struct.pack("<d", v) if isinstance(v, float) else floored(v) for n, v in row.items()}
    return repr(bits)


def test_values_that_move_into_the_next_column_do_not_give_the_same_fingerprint(
    source: Postgres, target: ClickHouse
) -> None:
    table = CONVERSATIONS.main
    empty = dict.fromkeys(kinds_of(table))
    pairs = [("avb", "c"), ("a", "bvc"), ("", None), (None, ""), ("a\x1fvb", "c"), ("a", "b\x1fvc"),
             ("a\x1fv1:b", "c"), ("a", "b\x1fv1:c")]  # fmt: skip
    rows = [{**empty, "customer_id": first, "profile_id": second} for first, second in pairs]
    assert len(set(by_postgres(source, table, rows))) == len(pairs)


def sums(source: Postgres, target: ClickHouse) -> tuple[Sums, Sums]:
    columns = columns_of(read_schemas(target, [t.table for t in CONVERSATIONS.targets]))
    return together(source_sums(source, *WHO, columns)), together(target_sums(target, *WHO, columns))


def verdicts(source: Postgres, target: ClickHouse) -> list[Verdict]:
    return [d.verdict for d in judge_days(DAYS.days, *sums(source, target))]


@pytest.fixture
def loaded(source: Postgres, target: ClickHouse) -> tuple[Postgres, ClickHouse]:
    """Three days of acme on both sides, the same."""
    people.fill(source.address, count=30, days=3, day=DAYS.start_time)
    request = Request("acme", "default", DAYS.start_time, DAYS.end_time)
    Transfer(source, target, RECIPES["conversations"], request, loads.VERSION, Limits(), loads.Watching()).run(None)
    return source, target


def test_a_right_copy_over_two_shards_is_match_on_every_day(loaded: tuple[Postgres, ClickHouse]) -> None:
    assert verdicts(*loaded) == [Verdict.MATCH] * 3


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE app.chats SET agent_user_id = 'somebody' WHERE chat_id = 'chat15'",
        "UPDATE director.historic_scorecard_scores SET text_value = NULL "
        "WHERE scorecard_id = 's-acmedefault-15' AND criterion_id = 'criterion1'",
        "UPDATE director.scorecards SET scorecard_type = 2 WHERE scorecard_id = 's-acmedefault-15'",
        "UPDATE app.chats SET is_dev_user = true WHERE chat_id = 'chat15'",
        "UPDATE app.chats SET conversation_id = 'swapped' WHERE chat_id = 'chat15'",
        "UPDATE app.chats SET started_at = started_at + interval '1 ms' WHERE chat_id = 'chat15'",
    ],
)
def test_one_changed_value_makes_its_day_different_and_no_other(
    loaded: tuple[Postgres, ClickHouse], change: str
) -> None:
    with loaded[0].connection() as connection:
        assert connection.execute(change.encode()).rowcount == 1
    assert verdicts(*loaded) == [Verdict.MATCH, Verdict.DIFFERENT, Verdict.MATCH]


def test_d9_a_shard_that_can_not_be_counted_gives_no_partial_sum(loaded: tuple[Postgres, ClickHouse]) -> None:
    _, target = loaded
    columns = columns_of(read_schemas(target, [t.table for t in CONVERSATIONS.targets]))
    target.shards[1].client().command("DROP TABLE score SYNC")
    with pytest.raises(PipelineError, match="shard 2"):
        target_sums(target, *WHO, columns)


@pytest.mark.parametrize(
    ("drift", "named"),
    [
        ("ALTER TABLE app.chats RENAME COLUMN agent_user_id TO agent", "agent_user_id"),
        ("DROP TABLE director.historic_scorecard_scores", "historic_scorecard_scores"),
    ],
)
def test_p8_schema_drift_of_the_source_is_named_and_not_taken_for_an_empty_day(
    loaded: tuple[Postgres, ClickHouse], drift: str, named: str
) -> None:
    with loaded[0].connection() as connection:
        connection.execute(drift.encode())
    with pytest.raises(PipelineError, match=named) as caught:
        sums(*loaded)
    assert caught.value.kind is Kind.MISSING


def test_p6_rows_that_fit_no_day_are_counted_by_class_and_those_of_others_are_not(
    loaded: tuple[Postgres, ClickHouse],
) -> None:
    with loaded[0].connection() as connection:
        connection.execute(_UNCOVERED.encode())
    columns = columns_of(read_schemas(loaded[1], [t.table for t in CONVERSATIONS.targets]))
    found = coverage(loaded[0], ["conversations"], "acme", ["default"], DAYS)
    assert dict(found.dayless) == {
        "conversation without a usable started_at": 3,
        "conversation of a profile that the configuration does not name": 1,
        "scorecard of an unknown scorecard_type": 2,
        "scorecard of a profile that the configuration does not name": 1,
    }
    assert found.uncovered(DAYS.start) == {
        **found.dayless,
        "scorecard of a conversation that app.chats does not have": 2,
        "scorecard of a conversation without a usable started_at": 1,
        "scorecard without a template revision and without a conversation": 1,
    }
    sums_of = together(source_sums(loaded[0], *WHO, columns))
    assert sum(d["conversation"].rows for d in sums_of.values()) == 30


_UNCOVERED = """
INSERT INTO app.chats (customer_id, profile_id, chat_id, conversation_id, is_dev_user, started_at) VALUES
    ('acme', 'default', 'u1', 'u1', false, NULL), ('acme', 'default', 'u2', 'u2', false, 'infinity'),
    ('acme', 'default', 'u3', 'u3', false, '-infinity'), ('acme', 'other', 'u4', 'u4', false, '2026-01-01'),
    ('acme', 'default', 'u5', 'u5', true, NULL), ('acme', 'default', 'u6', '', false, NULL),
    ('acme', 'default', 'u7', NULL, false, NULL), ('acme-east', 'default', 'u8', 'u8', false, NULL);
INSERT INTO director.scorecards (customer_id, profile_id, scorecard_id, conversation_id, template_id,
    template_revision, scorecard_type) VALUES
    ('acme', 'default', 'o1', 'nobody', 't', 1, NULL), ('acme', 'default', 'o2', 'u9', 't', 1, NULL),
    ('acme', 'default', 'o3', 'nobody', 't', 1, 2), ('acme', 'default', 'o4', '', 't', 1, NULL),
    ('acme-east', 'default', 'o5', 'nobody', 't', 1, NULL), ('acme', 'default', 'o6', 'u1', 't', 1, NULL),
    ('acme', 'other', 'o7', 'u4', 't', 1, NULL), ('acme', 'default', 'o8', 'u5', 't', 1, NULL),
    ('acme', 'default', 'o9', 'nobody', 't', 1, 0), ('acme', 'default', 'p0', 'nobody', 't', 1, 9),
    ('acme', 'default', 'p1', 'nobody', 't', 1, 3)
"""
