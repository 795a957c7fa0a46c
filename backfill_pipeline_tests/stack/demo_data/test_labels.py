"""Labels of the demo, asked for directly: each planted kind is there, in both forms, and everything else is right."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from backfill_pipeline.config import Cluster, Config
from backfill_pipeline.stack.demo_data import Planted, generate, labels
from backfill_pipeline.stack.demo_data.assist_events import assist_events
from backfill_pipeline.stack.demo_data.clickhouse_side import LabelsForm
from backfill_pipeline.stack.demo_data.label_defects import choose
from backfill_pipeline.stack.demo_data.label_rows import label_day
from backfill_pipeline.stack.demo_data.planted import Defect, Place
from backfill_pipeline.stack.demo_data.source_day import source_day
from backfill_pipeline_tests.stack.demo_data import stacks
from backfill_pipeline_tests.stack.demo_data.conftest import Demo

Id = tuple[str, ...]  # customer, profile, conversation_id
FORMS: dict[str, LabelsForm] = {"north": "newer", "south": "older"}


class Row(NamedTuple):
    agent: str
    start: datetime
    end: datetime
    labels: list[str]
    events: int


class Placed(NamedTuple):
    shard: int
    row: Row
    version: datetime


class Both(NamedTuple):
    """Both sides of a cluster, and how its labels are sharded."""

    right: dict[Id, Row]
    changed: dict[Id, datetime]
    there: dict[Id, list[Placed]]
    moment: str
    shards: int

    def shard_of(self, row: Row) -> int:
        """Days since 1970, as `toRelativeDayNum` counts them."""
        return (getattr(row, self.moment).date() - date(1970, 1, 1)).days % self.shards


def both_sides(cluster: Cluster, form: LabelsForm) -> Both:
    right, changed = _right(cluster)
    there: dict[Id, list[Placed]] = defaultdict(list)
    for shard in range(len(stacks.addresses(cluster))):
        for row_id, row, version in _there(cluster, shard):
            there[row_id].append(Placed(shard, row, version))
    moment = "end" if form == "older" else "start"
    return Both(right, changed, there, moment, len(stacks.addresses(cluster)))


def _right(cluster: Cluster) -> tuple[dict[Id, Row], dict[Id, datetime]]:
    with psycopg.connect(stacks.dsn(cluster), options="-c TimeZone=UTC") as connection:
        kinds: dict[Id, list[str]] = defaultdict(list)
        for *row_id, kind in connection.execute(
            "SELECT customer_id, profile_id, conversation_id, kind FROM app.agent_assist_events"
        ):
            kinds[tuple(row_id)].append(kind)
        found = connection.execute(
            """SELECT customer_id, profile_id, conversation_id, coalesce(agent_user_id, ''),
              date_trunc('milliseconds', started_at), date_trunc('milliseconds', ended_at), updated_at FROM app.chats
            WHERE conversation_id <> '' AND NOT is_dev_user AND isfinite(started_at) AND isfinite(ended_at)"""
        ).fetchall()
    rows = {i[:3]: Row(*i[3:6], sorted(set(kinds[i[:3]])), len(kinds[i[:3]])) for i in found}
    return rows, {i[:3]: i[6] for i in found}


def _there(cluster: Cluster, shard: int) -> Iterator[tuple[Id, Row, datetime]]:
    found = stacks.shard_client(cluster, shard).query(
        """SELECT customer_id, profile_id, conversation_id, agent_user_id, conversation_start_time,
          conversation_end_time, labels, agent_assist_events, update_time FROM conversation_with_labels FINAL"""
    )
    for *row_id, agent, start, end, kinds, events, version in found.result_rows:
        yield tuple(row_id), Row(agent, _utc(start), _utc(end), kinds, events), _utc(version)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


def in_labels(planted: Planted, cluster: str) -> list[Defect]:
    return [d for d in planted.defects if d.dataset == "labels" and d.cluster == cluster]


def ids(defect: Defect) -> list[Id]:
    return [(defect.customer, *i) for i in defect.ids]


@pytest.fixture(scope="module", params=FORMS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def both(demo: Demo, name: str) -> Both:
    return both_sides(demo.config.cluster(name), FORMS[name])


def test_only_one_form_of_the_table_is_ever_met(demo: Demo) -> None:
    for cluster in demo.config.clusters:
        assert forms(cluster) == {FORMS[cluster.name]}


def forms(cluster: Cluster) -> set[LabelsForm]:
    """Of the local and the Distributed tables of every shard."""
    sql = "SELECT concat(sorting_key, engine_full) FROM system.tables WHERE name IN ('{0}', '{0}_d')"
    shards = [stacks.shard_client(cluster, i) for i in range(len(stacks.addresses(cluster)))]
    texts = [row[0] for s in shards for row in s.query(sql.format("conversation_with_labels")).result_rows]
    assert len(texts) == 2 * len(shards)
    return {"older" if "conversation_end_time" in text else "newer" for text in texts}


def test_a_row_that_nobody_spoiled_is_not_as_the_source_says(demo: Demo, both: Both, name: str) -> None:
    """Of clean days and dirty ones: there once, on the shard that the server would choose, and newer than its change."""
    hit = {i for d in in_labels(demo.planted, name) for i in ids(d)}
    untouched = both.right.keys() - hit
    assert both.there.keys() - hit == untouched
    for row_id in untouched:
        (placed,) = both.there[row_id]
        assert placed.row == both.right[row_id]
        assert placed.shard == both.shard_of(placed.row)
        assert placed.version > both.changed[row_id]
    assert len(untouched) > 300


def test_a_day_that_is_called_clean_holds_another_days_label_or_lacks_one(demo: Demo, both: Both, name: str) -> None:
    for clean in (c for c in demo.planted.clean if c.cluster == name):
        right = {i for i, row in both.right.items() if (i[0], row.end.date()) == (clean.customer, clean.day)}
        there = Counter(
            i for i, ps in both.there.items() for p in ps if (i[0], p.row.end.date()) == (clean.customer, clean.day)
        )
        assert there == Counter(right)
        assert len(right) > 10


def changed(right: Row, there: Row) -> set[str]:
    return {n for n in Row._fields if getattr(right, n) != getattr(there, n)}


def is_stale(defect: Defect, right: Row, there: Row) -> bool:
    return changed(right, there) == {"labels"}


def is_reassigned(defect: Defect, right: Row, there: Row) -> bool:
    return changed(right, there) == {"agent"}


def is_closed_later(defect: Defect, right: Row, there: Row) -> bool:
    is_another_hour = there.start <= there.end and there.end.hour < right.end.hour
    return changed(right, there) == {"end"} and is_another_hour and there.end.date() == right.end.date()


def is_over_midnight(defect: Defect, right: Row, there: Row) -> bool:
    assert defect.day - defect.other_day == timedelta(days=1)  # type: ignore[operator]
    is_before = there.start <= there.end and (there.end.hour, there.end.minute) == (23, 59)
    return changed(right, there) == {"end"} and is_before and there.end.date() == right.start.date() == defect.other_day


def is_moved(defect: Defect, right: Row, there: Row) -> bool:
    return changed(right, there) == {"end"} and there.end.date() == defect.other_day != defect.day


INSTEAD: dict[str, Callable[[Defect, Row, Row], bool]] = {
    "stale": is_stale,
    "reassigned": is_reassigned,
    "closed_later": is_closed_later,
    "over_midnight": is_over_midnight,
    "moved": is_moved,
}


@pytest.mark.parametrize("kind", INSTEAD)
def test_a_row_from_before_a_change_is_not_there_or_beside_the_right_one(
    demo: Demo, both: Both, name: str, kind: str
) -> None:
    defects = [d for d in in_labels(demo.planted, name) if d.kind == kind]
    for defect in defects:
        for row_id in ids(defect):
            (placed,) = both.there[row_id]
            assert INSTEAD[kind](defect, both.right[row_id], placed.row), (defect, row_id)
            assert placed.shard == both.shard_of(placed.row) == defect.shard
            assert placed.version < both.changed[row_id]
            assert both.right[row_id].end.date() == defect.day
    assert {d.customer for d in defects} == {c.id for c in demo.config.cluster(name).customers}


def test_a_missing_row_is_there(demo: Demo, both: Both, name: str) -> None:
    missing = [d for d in in_labels(demo.planted, name) if d.kind == "missing"]
    assert missing
    for defect in missing:
        for row_id in ids(defect):
            assert row_id not in both.there
            assert both.right[row_id].end.date() == defect.day
            assert both.shard_of(both.right[row_id]) == defect.shard


def test_a_row_of_a_deleted_conversation_is_not_there_or_on_a_day_that_is_not_its_own(
    demo: Demo, both: Both, name: str
) -> None:
    gone = [d for d in in_labels(demo.planted, name) if d.kind == "gone"]
    of_conversations = {
        (d.customer, *i) for d in demo.planted.defects
        if (d.cluster, d.kind, d.table, d.dataset) == (name, "gone", "conversation", "conversations") for i in d.ids
    }  # fmt: skip
    assert gone
    for defect in gone:
        for row_id in ids(defect):
            assert row_id not in both.right
            (placed,) = both.there[row_id]
            assert placed.row.end.date() == placed.row.start.date() == defect.day
            assert placed.shard == both.shard_of(placed.row) == defect.shard
            assert row_id in of_conversations


def test_a_double_lies_on_the_shard_of_its_twin_where_final_removes_it(demo: Demo) -> None:
    both = both_sides(demo.config.cluster("south"), "older")
    doubled = [d for d in in_labels(demo.planted, "south") if d.kind == "doubled"]
    assert doubled
    for defect in doubled:
        for row_id in ids(defect):
            placed = both.there[row_id]
            assert {p.row.end for p in placed} == {both.right[row_id].end}
            assert [p.row for p in placed] == [both.right[row_id]] * 2
            assert {p.shard for p in placed} == {both.shard_of(placed[0].row), defect.shard} == {0, 1}
    assert not [d for d in in_labels(demo.planted, "north") if d.kind == "doubled"]


def test_two_defects_meet_in_one_row_so_that_one_hides_the_other(demo: Demo) -> None:
    times = Counter((d.cluster, i) for c in FORMS for d in in_labels(demo.planted, c) for i in ids(d))
    assert set(times.values()) == {1}


def test_each_dirty_day_lacks_a_kind_of_defect_that_it_has_room_for(demo: Demo) -> None:
    clean = {(c.cluster, c.customer, c.day) for c in demo.planted.clean}
    kinds: dict[tuple[str, str, date], set[str]] = defaultdict(set)
    for defect in (d for c in FORMS for d in in_labels(demo.planted, c)):
        kinds[defect.cluster, defect.customer, defect.day].add(defect.kind)
    dirty = [
        (c.name, u.id, demo.planted.first_day + timedelta(days=i))
        for c in demo.config.clusters for u in c.customers for i in range(demo.planted.days)
    ]  # fmt: skip
    for key in set(dirty) - clean:
        wanted = {"missing", "stale", "reassigned", "moved"} | ({"doubled"} if key[0] == "south" else set())
        assert wanted <= kinds[key]
        before = (*key[:2], key[2] - timedelta(days=1))
        assert ("over_midnight" in kinds[key]) == (before in set(dirty) - clean)


@pytest.mark.parametrize(
    ("cluster", "form"), [pytest.param("north", "older", marks=pytest.mark.soak), ("south", "newer")]
)
def test_a_table_of_the_other_form_is_made_anew_or_filled_as_if_it_had_this_one(
    demo: Demo, cluster: str, form: LabelsForm, tmp_path: Path
) -> None:
    """A folder of an older stack: what is there stays, and rows lie where its own Distributed table puts them.

    A shard that was stopped in between has no such table yet: it gets the one of the form that is there.
    """
    config = Config(clusters=[demo.config.cluster(cluster)])
    stacks.make_labels_anew(config.clusters[0], form)
    stacks.shard_client(config.clusters[0], 0).command("DROP TABLE conversation_with_labels_d SYNC")
    try:
        generate(config, size=0.01, first_day=date(2026, 1, 30), days=2, folder=tmp_path, plant=False)
        assert forms(config.clusters[0]) == {form}
        both = both_sides(config.clusters[0], form)
        assert {i: [p.row for p in ps] for i, ps in both.there.items()} == {i: [r] for i, r in both.right.items()}
        assert all(p.shard == both.shard_of(p.row) for ps in both.there.values() for p in ps)
        assert any(row.start.date() != row.end.date() for row in both.right.values())
    finally:
        stacks.make_labels_anew(config.clusters[0], FORMS[cluster])
        demo.refill(tmp_path)


DAY = date(2026, 1, 30)


def copied(gone: list[int], dirty: list[date]) -> tuple[set[str], list[str]]:
    """Ids in the copy of a day some of whose chats are gone, and all ids of its chats."""
    source = source_day(np.random.default_rng(1), Place("south", "acme", "default", DAY, 2), 30)
    is_gone = np.isin(np.arange(30), gone)
    day = label_day(source, assist_events(np.random.default_rng(2), source.chats), is_gone)
    parts = labels.target_rows(day, choose(np.random.default_rng(3), day, dirty, None))
    there = set(pa.concat_tables(p.rows for p in parts)["conversation_id"].to_pylist())
    return there, source.chats["conversation_id"].to_pylist()


def test_a_deleted_conversation_that_ended_on_the_next_day_spoils_that_day() -> None:
    """The next day may be a clean one. Chats 1 and 2 are those over midnight, 0 is a conversation of the day itself."""
    there, every_id = copied([0, 1, 2], dirty=[DAY])
    assert every_id[0] in there
    assert not there & {every_id[1], every_id[2]}


def test_a_clean_day_gets_a_row_of_a_deleted_conversation() -> None:
    there, every_id = copied([0], dirty=[])
    assert every_id[0] not in there
    assert {every_id[1], every_id[2]} <= there
