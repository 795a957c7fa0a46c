"""The independent judge: both sides of a customer read in full and compared row by row.

It shares no code, SQL or column mapping with what loads (`worker/`) or what verifies (`stores/`): an error made there
must not be made here too. Each database turns everything into texts and whole numbers (times into milliseconds, floats
into their bits), so that Python compares them exactly; NULL stays None and is no ''.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import clickhouse_connect
import psycopg
from clickhouse_connect.driver.client import Client

Id = tuple[str, ...]
"""(profile, conversation_id), (profile, scorecard_id) or (profile, scorecard_id, criterion_id)."""
Row = tuple[Any, ...]

_DAY_MILLIS = 86_400_000
_SECONDS = 120  # deadline of each statement

_CHATS = """
SELECT profile_id, conversation_id, chat_id, agent_user_id,
       floor(extract(epoch FROM started_at) * 1000)::bigint AS start_ms,
       CASE WHEN isfinite(ended_at) THEN floor(extract(epoch FROM ended_at) * 1000)::bigint END AS end_ms
FROM app.chats
WHERE customer_id = %(customer)s AND conversation_id <> '' AND NOT is_dev_user AND isfinite(started_at)
"""
_CARD = """
       s.template_id, s.template_revision, s.submission_source, s.agent_user_id, s.creator_user_id,
       ('x' || encode(float8send(s.score), 'hex'))::bit(64)::bigint AS score,
       CASE WHEN isfinite(s.scorecard_time) THEN floor(extract(epoch FROM s.scorecard_time) * 1000)::bigint END AS at,
       CASE WHEN isfinite(s.submitted_at) THEN floor(extract(epoch FROM s.submitted_at) * 1000)::bigint END AS submitted
"""
_CARDS = f"""
SELECT s.profile_id, s.scorecard_id, s.conversation_id, chat.start_ms, {_CARD}
FROM director.scorecards s JOIN ({_CHATS}) chat USING (profile_id, conversation_id)
WHERE s.customer_id = %(customer)s AND s.scorecard_type IS NULL
UNION ALL
SELECT s.profile_id, s.scorecard_id, '', floor(extract(epoch FROM s.scorecard_time) * 1000)::bigint, {_CARD}
FROM director.scorecards s
JOIN director.scorecard_template_revisions r ON (r.template_id, r.revision) = (s.template_id, s.template_revision)
WHERE %(process)s AND s.customer_id = %(customer)s AND s.scorecard_type IS NULL AND r.type = 2
  AND coalesce(s.conversation_id, '') = '' AND isfinite(s.scorecard_time)
"""
_SCORES = f"""
SELECT card.profile_id, h.scorecard_id, h.criterion_id, card.conversation_id, card.start_ms,
       ('x' || encode(float8send(h.numeric_value), 'hex'))::bit(64)::bigint,
       ('x' || encode(float8send(h.ai_value), 'hex'))::bit(64)::bigint,
       h.text_value, h.not_applicable::int,
       ('x' || encode(float8send(h.weight), 'hex'))::bit(64)::bigint
FROM director.historic_scorecard_scores h JOIN ({_CARDS}) card USING (scorecard_id)
"""
_APPEALS = """
SELECT profile_id, scorecard_id FROM director.scorecards
WHERE customer_id = %(customer)s AND scorecard_type IS NOT NULL
"""

# The array is in the order of its texts' bytes, whatever the language of the database.
_LABELS = """
SELECT c.profile_id, c.conversation_id, coalesce(c.agent_user_id, ''),
       floor(extract(epoch FROM c.started_at) * 1000)::bigint, floor(extract(epoch FROM c.ended_at) * 1000)::bigint,
       coalesce(of_chat.kinds, '{}'), coalesce(of_chat.events, 0)
FROM app.chats c LEFT JOIN (
    SELECT profile_id, conversation_id, array_agg(kind ORDER BY convert_to(kind, 'UTF8')) AS kinds,
           sum(events)::bigint AS events
    FROM (SELECT profile_id, conversation_id, kind, count(*) AS events FROM app.agent_assist_events
          WHERE customer_id = %(customer)s GROUP BY 1, 2, 3) AS each
    GROUP BY 1, 2
) AS of_chat USING (profile_id, conversation_id)
WHERE c.customer_id = %(customer)s AND c.conversation_id <> '' AND NOT c.is_dev_user
  AND isfinite(c.started_at) AND isfinite(c.ended_at)
"""

_START = "toUnixTimestamp64Milli(conversation_start_time)"
_TARGET = {
    "conversation": f"""profile_id, conversation_id, chat_id, agent_user_id,
        {_START}, toUnixTimestamp64Milli(conversation_end_time)""",
    "scorecard": f"""profile_id, scorecard_id, conversation_id, {_START},
        template_id, template_revision, submission_source, agent_user_id, creator_user_id,
        reinterpretAsInt64(score), toUnixTimestamp64Milli(scorecard_time), toUnixTimestamp64Milli(submitted_at)""",
    "score": f"""profile_id, scorecard_id, criterion_id, conversation_id, {_START},
        reinterpretAsInt64(numeric_value), reinterpretAsInt64(ai_value), text_value, toInt64(not_applicable),
        reinterpretAsInt64(weight)""",
    "conversation_with_labels": f"""profile_id, conversation_id, agent_user_id,
        {_START}, toUnixTimestamp64Milli(conversation_end_time), labels, toInt64(agent_assist_events)""",
}
_ENGINE = """
SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'conversation_with_labels_d'
"""


@dataclass(frozen=True)
class Layout:
    """How the rows of a table are read: the id's length, where the times stand by which a row belongs to a day and to a
    shard, and names for people."""

    source: str
    id_length: int
    day: int
    shard: int
    columns: str

    def differing(self, one: Row, other: Row) -> tuple[str, ...]:
        return tuple(n for n, a, b in zip(self.columns.split(), one, other, strict=True) if a != b)


_LAYOUTS: Mapping[str, Layout] = {
    "conversation": Layout(_CHATS, 2, 4, 4, "profile conversation_id chat_id agent_user_id start end"),
    "scorecard": Layout(
        _CARDS, 2, 3, 3, "profile scorecard_id conversation_id start template_id template_revision submission_source "
        "agent_user_id creator_user_id score scorecard_time submitted_at",
    ),
    "score": Layout(
        _SCORES, 3, 4, 4, "profile scorecard_id criterion_id conversation_id start numeric_value ai_value text_value "
        "not_applicable weight",
    ),
}  # fmt: skip
_LABELS_LAYOUT = Layout(_LABELS, 2, 4, 4, "profile conversation_id agent_user_id start end labels agent_assist_events")
_LABELS_SHARDED_BY = {"conversation_start_time": 3, "conversation_end_time": 4}


@dataclass
class TableDifferences:
    """Ids of one table, each list sorted, over the rows that belong to the window on either side.

    missing: PostgreSQL has it, no shard does. extra: a shard has it, PostgreSQL does not (any more).
    different: it is there, but no row of it has the right content; `columns` says in which columns.
    doubled: more than one row after FINAL, over all days, partitions and shards, in or outside of the window.
    appeals: a row of an appeal scorecard. wrong_shard: a row lies where the sharding expression does not put it.
    expected: rows that PostgreSQL has in the window; a judge that expected nothing has proved nothing.
    """

    missing: list[Id] = field(default_factory=list)
    extra: list[Id] = field(default_factory=list)
    different: list[Id] = field(default_factory=list)
    doubled: list[Id] = field(default_factory=list)
    appeals: list[Id] = field(default_factory=list)
    wrong_shard: list[Id] = field(default_factory=list)
    columns: dict[Id, tuple[str, ...]] = field(default_factory=dict)
    expected: int = 0

    def found(self) -> dict[str, list[Id]]:
        """The lists that are not empty, by name."""
        kinds = ("missing", "extra", "different", "doubled", "appeals", "wrong_shard")
        return {kind: getattr(self, kind) for kind in kinds if getattr(self, kind)}


@dataclass(frozen=True)
class Differences:
    """What is not right in ClickHouse, per table; falsy if there is nothing."""

    tables: Mapping[str, TableDifferences]

    def __bool__(self) -> bool:
        return any(table.found() for table in self.tables.values())

    @property
    def expected(self) -> int:
        return sum(table.expected for table in self.tables.values())

    def __str__(self) -> str:
        lines = [
            f"{name}.{kind}: {len(ids)}, for example {', '.join(_shown(table, i) for i in ids[:3])}"
            for name, table in self.tables.items()
            for kind, ids in table.found().items()
        ]
        return "\n".join(lines) or f"no difference in {self.expected} rows"


def _shown(table: TableDifferences, row_id: Id) -> str:
    columns = f" ({', '.join(table.columns[row_id])})" if row_id in table.columns else ""
    return "/".join(row_id) + columns


def differences(
    pg_dsn: str,
    shard_addresses: list[tuple[str, int]],
    customer: str,
    first_day: date,
    end_day: date,
    *,
    process: bool = True,
    labels: bool = False,
) -> Differences:
    """Compare every row of a customer whose day, on either side, lies in `[first_day, end_day)`.

    The day is that of the start, in the table of labels that of the end.

    Args:
        pg_dsn: PostgreSQL as psycopg takes it.
        shard_addresses: HTTP host and port of one replica of each shard, in the cluster's order.
        process: also the process scorecards (those without a conversation); False ignores them on both sides.
        labels: also the table of labels, in the form that the server has.

    Raises:
        AssertionError: PostgreSQL itself has an id twice, so there is nothing to compare with.
    """
    layouts = {**_LAYOUTS, **({"conversation_with_labels": _labels_layout(shard_addresses)} if labels else {})}
    with psycopg.connect(pg_dsn, options=f"-c statement_timeout={_SECONDS}s -c TimeZone=UTC") as postgres:
        postgres.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        asked = {"customer": customer, "process": process}
        source = {name: _source_rows(postgres, layout, asked) for name, layout in layouts.items()}
        appeals = set(postgres.execute(_APPEALS, asked).fetchall())
    target = _target_rows(layouts, shard_addresses, customer, process)
    days = (_day_number(first_day), _day_number(end_day))
    judges = {name: _Judge(layout, len(shard_addresses), days) for name, layout in layouts.items()}
    return Differences({name: judge.compare(source[name], target[name], appeals) for name, judge in judges.items()})


def _day_number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _labels_layout(shard_addresses: list[tuple[str, int]]) -> Layout:
    """By which time labels are sharded depends on the form of the table: the Distributed one says it."""
    named = set()
    for address in shard_addresses:
        with closing(_client(*address)) as client:
            engine = client.command(_ENGINE)
            named |= {column for column in _LABELS_SHARDED_BY if column in engine}
    assert len(named) == 1, f"labels are sharded by {sorted(named) or 'nothing known'}"
    return replace(_LABELS_LAYOUT, shard=_LABELS_SHARDED_BY[named.pop()])


def _client(host: str, port: int) -> Client:
    return clickhouse_connect.get_client(
        host=host, port=port, connect_timeout=10, send_receive_timeout=_SECONDS, autogenerate_session_id=False
    )


def _source_rows(postgres: psycopg.Connection, layout: Layout, asked: Mapping[str, Any]) -> dict[Id, Row]:
    rows = postgres.execute(layout.source, asked).fetchall()
    by_id = {row[: layout.id_length]: row for row in rows}
    assert len(by_id) == len(rows), f"PostgreSQL has {len(rows) - len(by_id)} ids twice ({layout.columns.split()[1]})"
    return by_id


Placed = tuple[int, Row]  # the shard on which a row lies, and the row


def _target_rows(
    layouts: Mapping[str, Layout], shard_addresses: list[tuple[str, int]], customer: str, process: bool
) -> dict[str, dict[Id, list[Placed]]]:
    found: dict[str, dict[Id, list[Placed]]] = {name: defaultdict(list) for name in layouts}
    for shard, address in enumerate(shard_addresses):
        with closing(_client(*address)) as client:
            for name, layout in layouts.items():
                for row in _rows_of(client, name, customer, process):
                    found[name][row[: layout.id_length]].append((shard, row))
    return found


def _rows_of(client: Client, table: str, customer: str, process: bool) -> Iterator[Row]:
    columns = client.query_arrow(
        f"""SELECT {_TARGET[table]} FROM {table} FINAL
        WHERE customer_id = {{customer:String}} AND ({{process:UInt8}} OR conversation_id != '')""",
        parameters={"customer": customer, "process": int(process)},
        use_strings=True,
    )
    return zip(*(column.to_pylist() for column in columns.columns), strict=True)


class _Judge:
    """Compares one table's rows and keeps what touches the days `[first, end)` (numbers since 1970)."""

    def __init__(self, layout: Layout, shards: int, days: tuple[int, int]) -> None:
        self._layout, self._shards, self._days = layout, shards, days

    def compare(
        self, source: Mapping[Id, Row], target: Mapping[Id, list[Placed]], appeals: set[Row]
    ) -> TableDifferences:
        result = TableDifferences(expected=sum(self._is_in_window(row) for row in source.values()))
        for row_id in sorted({*source, *target}):
            right, placed = source.get(row_id), target.get(row_id, [])
            if any(self._is_in_window(row) for row in [*filter(None, [right]), *(row for _, row in placed)]):
                self._note(result, row_id, right, placed, is_appeal=row_id[:2] in appeals)
        return result

    def _note(
        self, result: TableDifferences, row_id: Id, right: Row | None, placed: list[Placed], *, is_appeal: bool
    ) -> None:
        rows = [row for _, row in placed]
        if right is None:
            (result.appeals if is_appeal else result.extra).append(row_id)
        elif not rows:
            result.missing.append(row_id)
        elif right not in rows:
            result.different.append(row_id)
            result.columns[row_id] = self._layout.differing(right, rows[0])
        if len(rows) > 1:
            result.doubled.append(row_id)
        if any(shard != _day(row, self._layout.shard) % self._shards for shard, row in placed):
            result.wrong_shard.append(row_id)

    def _is_in_window(self, row: Row) -> bool:
        return self._days[0] <= _day(row, self._layout.day) < self._days[1]


def _day(row: Row, column: int) -> int:
    """Number since 1970 of the UTC day of one of its times."""
    return int(row[column]) // _DAY_MILLIS
