"""The judge finds each planted defect by id and nothing else; it can fail, down to one bit."""

import ast
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import psycopg
import pytest

from backfill_pipeline.config import Cluster, Config
from backfill_pipeline.stack.demo_data import Planted, generate
from backfill_pipeline.stack.demo_data.planted import DatasetName, Kind, RowId, TableName
from backfill_pipeline_tests.e2e import compare
from backfill_pipeline_tests.e2e.compare import Differences, differences
from backfill_pipeline_tests.stack.demo_data import stacks

FIRST = date(2026, 1, 29)
DAYS = 5
END = FIRST + timedelta(days=DAYS)
LABELS: TableName = "conversation_with_labels"
TABLES: tuple[TableName, ...] = ("conversation", "scorecard", "score", LABELS)
DATASETS: tuple[DatasetName, ...] = ("conversations", "process_scorecards", "labels")
# What the judge calls the planted kinds: a row from before a change is a different one, whatever has changed.
KINDS: dict[str, tuple[Kind, ...]] = {
    "missing": ("missing",),
    "extra": ("gone",),
    "different": ("stale", "reassigned", "closed_later", "over_midnight", "moved"),
    "doubled": ("doubled",),
    "appeals": ("appeal",),
}


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    with stacks.two_clusters(tmp_path_factory.mktemp("compare")) as config:
        yield config


@pytest.fixture(scope="module")
def planted(clusters: Config, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return generate(clusters, size=0.03, first_day=FIRST, days=DAYS, folder=tmp_path_factory.mktemp("planted"))


Judgements: TypeAlias = dict[tuple[str, str], Differences]
"""(cluster, customer) -> all its days."""


def judged(cluster: Cluster, customer: str, *, process: bool = True) -> Differences:
    addresses = stacks.addresses(cluster)
    return differences(stacks.dsn(cluster), addresses, customer, FIRST, END, process=process, labels=True)


def judged_day(cluster: Cluster, customer: str, day: date) -> Differences:
    addresses = stacks.addresses(cluster)
    return differences(stacks.dsn(cluster), addresses, customer, day, day + timedelta(days=1), labels=True)


def planted_ids(planted: Planted, seen: str, table: TableName, cluster: str, customer: str) -> set[RowId]:
    """Of every dataset, as the judge does not tell them apart."""
    asked = (planted.ids(k, table, cluster, customer, dataset=d) for k in KINDS[seen] for d in DATASETS)
    return set().union(*asked)


def assert_judged_as_planted(everywhere: Judgements, planted: Planted, seen: str) -> None:
    for (cluster, customer), found in everywhere.items():
        for table in TABLES:
            ids = getattr(found.tables[table], seen)
            assert set(ids) == planted_ids(planted, seen, table, cluster, customer), (customer, table)
            assert ids == sorted(set(ids))


def assert_wrong_shards_as_planted(everywhere: Judgements, planted: Planted, table: TableName) -> None:
    for (cluster, customer), found in everywhere.items():
        expected = planted.wrong_shard_ids(table, cluster, customer)
        assert set(found.tables[table].wrong_shard) == expected
        assert bool(expected) == (cluster == "south")


def customers(config: Config) -> list[tuple[Cluster, str]]:
    return [(cluster, customer.id) for cluster in config.clusters for customer in cluster.customers]


def judged_everywhere(config: Config) -> Judgements:
    return {(cluster.name, customer): judged(cluster, customer) for cluster, customer in customers(config)}


@pytest.fixture(scope="module")
def everywhere(clusters: Config, planted: Planted) -> Judgements:
    return judged_everywhere(clusters)


class TestPlanted:
    """Uses the planted demo; nothing here changes it."""

    @pytest.mark.parametrize("seen", KINDS)
    def test_a_defect_is_overlooked_or_another_row_is_blamed(
        self, everywhere: Judgements, planted: Planted, seen: str
    ) -> None:
        assert_judged_as_planted(everywhere, planted, seen)

    def test_labels_are_judged_though_nobody_asked(self, clusters: Config, planted: Planted) -> None:
        cluster = clusters.cluster("south")
        found = differences(stacks.dsn(cluster), stacks.addresses(cluster), "umbrella", FIRST, END)
        assert found.tables.keys() == {*TABLES} - {LABELS}

    @pytest.mark.parametrize("table", TABLES)
    def test_rows_on_the_wrong_shard_are_overlooked(
        self, everywhere: Judgements, planted: Planted, table: TableName
    ) -> None:
        """L7: a double on another shard is not removed by FINAL, as each shard has only one of them."""
        assert_wrong_shards_as_planted(everywhere, planted, table)

    def test_a_day_is_blamed_for_its_neighbour(self, clusters: Config, planted: Planted) -> None:
        cluster = clusters.cluster("south")
        for day in (FIRST + timedelta(days=i) for i in range(DAYS)):
            found = judged_day(cluster, "umbrella", day)
            hit = {d.table for d in planted.of("south", "umbrella") if day in (d.day, d.other_day)}
            assert {name for name, table in found.tables.items() if table.found()} == hit
            for table in TABLES:
                missing = (planted.ids("missing", table, "south", "umbrella", day, d) for d in DATASETS)
                assert set(found.tables[table].missing) == set().union(*missing)
            assert found.expected > 0

    def test_a_double_goes_unseen_as_its_twin_lies_outside_of_the_window(
        self, clusters: Config, planted: Planted
    ) -> None:
        moved = [d for d in planted.of("north", "acme") if d.other_day and d.table == "conversation"]
        for defect in moved:
            assert defect.other_day
            on_other_day = judged_day(clusters.cluster("north"), "acme", defect.other_day)
            assert set(defect.ids) <= set(on_other_day.tables["conversation"].doubled)
        assert len(moved) >= 2

    def test_a_label_that_lies_on_another_day_is_seen_on_one_of_both_days_only(
        self, clusters: Config, planted: Planted
    ) -> None:
        apart = [d for d in planted.of("south", "initech") if d.other_day and d.table == LABELS]
        for defect in apart:
            for day in (defect.day, defect.other_day):
                found = judged_day(clusters.cluster("south"), "initech", day)  # type: ignore[arg-type]
                assert set(defect.ids) <= set(found.tables[LABELS].different)
                assert {found.tables[LABELS].columns[i] for i in defect.ids} == {("end",)}
        assert {d.kind for d in apart} == {"moved", "over_midnight"}

    def test_a_clean_day_is_called_different(self, clusters: Config, planted: Planted) -> None:
        for clean in planted.clean:
            found = judged_day(clusters.cluster(clean.cluster), clean.customer, clean.day)
            assert not found, f"{clean}: {found}"
            assert found.expected > 100

    def test_a_failed_assertion_does_not_say_which_rows_differ(self, everywhere: Judgements) -> None:
        text = str(everywhere["north", "acme"])
        assert "conversation.different: " in text
        assert "(agent_user_id)" in text


FUTURE = "2100-01-01"


def with_change(table: str, changes: dict[str, str], where: str = "1", customer: str = "initech") -> str:
    """INSERT of a changed copy of one of the rows that outranks it."""
    replaced = ", ".join(f"{sql} AS {column}" for column, sql in {**changes, "update_time": f"'{FUTURE}'"}.items())
    # Chosen in a query of its own: beside the REPLACE, a column's name in WHERE would mean its new value.
    chosen = f"SELECT * FROM {table} FINAL WHERE customer_id = '{customer}' AND {where} LIMIT 1"
    return f"INSERT INTO {table} SELECT * REPLACE ({replaced}) FROM ({chosen})"


@contextmanager
def inserted(cluster: Cluster, table: str, statement: str, shard: int, customer: str = "initech") -> Iterator[None]:
    """One row with a version from the future, taken away again at the end.

    The customer's rows are put back then: a merge may have dropped the one beneath the change.
    """
    client = stacks.shard_client(cluster, shard)
    before = client.query_arrow(f"SELECT * FROM {table} FINAL WHERE customer_id = '{customer}'", use_strings=True)
    client.command(statement)
    assert client.command(f"SELECT count() FROM {table} WHERE update_time = '{FUTURE}'") == 1
    try:
        yield
    finally:
        client.command(f"DELETE FROM {table} WHERE update_time = '{FUTURE}'", settings={"lightweight_deletes_sync": 2})
        client.insert_arrow(table, before, settings={"insert_deduplication_token": str(uuid4())})


START, STOP = "conversation_start_time", "conversation_end_time"
MS = "toIntervalMillisecond(1)"
BITS = "reinterpretAsUInt64(assumeNotNull({0}))"
FLIPPED = f"toNullable(reinterpretAsFloat64(bitXor({BITS}, 1)))"

ZERO = "toNullable(toFloat64(0))"
NO_FLOAT = "CAST(NULL, 'Nullable(Float64)')"
OTHER_ENDING = "concat(substringUTF8(text_value, 1, lengthUTF8(text_value) - 1), 'e')"

# What is changed: table, column, its new value, and which row
MUTATIONS = {
    "last bit of a float": ("score", "numeric_value", FLIPPED.format("numeric_value"), "numeric_value > 1"),
    "sign of a zero": (
        "score",
        "numeric_value",
        ZERO,
        BITS.format("numeric_value") + " = bitShiftLeft(toUInt64(1), 63)",
    ),
    "0 for NULL": ("score", "ai_value", ZERO, "ai_value IS NULL"),
    "NULL for 0": ("score", "ai_value", NO_FLOAT, "ai_value = 0"),
    "'' for NULL": ("score", "text_value", "toNullable('')", "text_value IS NULL"),
    "NULL for ''": ("score", "text_value", "CAST(NULL, 'Nullable(String)')", "text_value = ''"),
    "a blank at the end": ("score", "text_value", "concat(text_value, ' ')", "text_value = 'NULL'"),
    "last letter of a long text": ("score", "text_value", OTHER_ENDING, "length(text_value) > 100000"),
    "a flag": ("score", "not_applicable", "NOT not_applicable", "not_applicable"),
    "weight": ("score", "weight", "weight + 1e-9", "weight = 0.5"),
    "a score's conversation": ("score", "conversation_id", "concat(conversation_id, 'x')", "1"),
    "a score's start by 1 ms": ("score", START, f"{START} + {MS}", f"toHour({START}) = 11"),
    "revision": ("scorecard", "template_revision", "template_revision + 1", "1"),
    "template": ("scorecard", "template_id", "'tpl-other'", "1"),
    "no source for 0": ("scorecard", "submission_source", "CAST(NULL, 'Nullable(Int32)')", "submission_source = 0"),
    "creator": ("scorecard", "creator_user_id", "toNullable('')", "creator_user_id IS NULL"),
    "a scorecard's agent": ("scorecard", "agent_user_id", "toNullable('x')", "agent_user_id = 'agent-01'"),
    "score": ("scorecard", "score", FLIPPED.format("score"), "score > 1"),
    "1970 for infinity": ("scorecard", "submitted_at", "toNullable(toDateTime64(0, 3, 'UTC'))", "submitted_at IS NULL"),
    "scorecard_time by 1 ms": ("scorecard", "scorecard_time", f"scorecard_time - {MS}", "scorecard_time IS NOT NULL"),
    "a conversation's agent": ("conversation", "agent_user_id", "toNullable('')", "agent_user_id IS NULL"),
    "chat": ("conversation", "chat_id", "concat(chat_id, 'x')", "1"),
    "end by 1 ms": ("conversation", STOP, f"{STOP} + {MS}", f"{STOP} IS NOT NULL"),
    "a label more": (LABELS, "labels", "arrayPushBack(labels, 'x')", "1"),
    "a label less": (LABELS, "labels", "arrayPopBack(labels)", "notEmpty(labels)"),
    "labels in another order": (LABELS, "labels", "arrayReverse(labels)", "length(labels) > 1"),
    "a label twice": (LABELS, "labels", "arrayPushBack(labels, labels[-1])", "notEmpty(labels)"),
    "an event more": (LABELS, "agent_assist_events", "agent_assist_events + 1", "1"),
    "a label's start by 1 ms": (LABELS, START, f"{START} + {MS}", "1"),
    "a label's end by 1 ms": (LABELS, STOP, f"{STOP} + {MS}", f"toMinute({STOP}) < 59"),
    "an end where it is open": ("conversation", STOP, f"toNullable({START})", f"{STOP} IS NULL"),
}


@pytest.fixture(scope="module")
def right_copy(clusters: Config, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("right")
    assert not generate(clusters, size=0.03, first_day=FIRST, days=DAYS, folder=folder, plant=False).defects


@pytest.mark.usefixtures("right_copy")
class TestRightCopy:
    """Uses a demo without defects; every test puts back what it changes."""

    def test_a_right_copy_is_called_different(self, clusters: Config) -> None:
        for cluster, customer in customers(clusters):
            found = judged(cluster, customer)
            assert not found, f"{customer}: {found}"
            assert found.expected > 500
            assert "no difference in" in str(found)

    def test_times_shift_by_the_zone_of_the_machine(self, clusters: Config, monkeypatch: pytest.MonkeyPatch) -> None:
        """L3: neither the judge nor the databases take a time in the host's zone."""
        monkeypatch.setenv("TZ", "America/New_York")
        time.tzset()
        try:
            assert not judged(clusters.cluster("south"), "initech")
        finally:
            monkeypatch.undo()
            time.tzset()

    @pytest.mark.parametrize("name", MUTATIONS)
    def test_a_changed_value_is_overlooked(self, clusters: Config, name: str) -> None:
        table, column, value, where = MUTATIONS[name]
        cluster = clusters.cluster("south")
        statement = with_change(table, {column: value}, f"conversation_id != '' AND ({where})")
        with inserted(cluster, table, statement, shard=0):
            found = judged(cluster, "initech")
        # In no other table either, so that nothing is left of the change before this one.
        differing = {name: t.found() for name, t in found.tables.items() if t.found()}
        assert {name: {k: len(v) for k, v in kinds.items()} for name, kinds in differing.items()} == {
            table: {"different": 1}
        }
        assert {c for cs in found.tables[table].columns.values() for c in cs} == {_shown(column)}

    def test_something_is_left_of_a_change_that_was_put_back(self, clusters: Config) -> None:
        assert not judged(clusters.cluster("south"), "initech")

    def test_a_row_that_only_moved_to_another_day_passes(self, clusters: Config) -> None:
        """L7: FINAL does not collapse rows whose sort key differs."""
        cluster = clusters.cluster("south")
        changes = {"conversation_start_time": "conversation_start_time + toIntervalDay(2)"}
        with inserted(cluster, "score", with_change("score", changes), shard=1):
            found = judged(cluster, "initech").tables["score"].found()
        assert {k: len(v) for k, v in found.items()} == {"doubled": 1}

    def test_a_row_on_another_shard_passes(self, clusters: Config) -> None:
        cluster = clusters.cluster("south")
        changes = {"conversation_start_time": "conversation_start_time + toIntervalDay(1)", "scorecard_id": "'new'"}
        with inserted(cluster, "scorecard", with_change("scorecard", changes), shard=1):
            found = judged(cluster, "initech").tables["scorecard"].found()
        assert found == {"extra": [("default", "new")], "wrong_shard": [("default", "new")]}

    def test_a_labels_second_row_passes_or_one_that_replaced_it_is_called_a_double(self, clusters: Config) -> None:
        """L7: the agent is in the older form's sorting key, so FINAL keeps both rows; in the newer one it is not."""
        for name, customer, seen in (("south", "initech", "doubled"), ("north", "acme", "different")):
            cluster = clusters.cluster(name)
            statement = with_change(LABELS, {"agent_user_id": "'another'"}, customer=customer)
            with inserted(cluster, LABELS, statement, shard=0, customer=customer):
                found = judged(cluster, customer).tables[LABELS].found()
            assert {k: len(v) for k, v in found.items()} == {seen: 1}
            assert not judged(cluster, customer)

    def test_a_label_lies_on_the_shard_of_its_start_in_the_older_form(self, clusters: Config) -> None:
        cluster = clusters.cluster("south")
        for column, seen in ((START, {"different": 1}), (STOP, {"doubled": 1, "wrong_shard": 1})):
            statement = with_change(LABELS, {column: f"{column} + toIntervalDay(1)"})
            with inserted(cluster, LABELS, statement, shard=0):
                found = judged(cluster, "initech").tables[LABELS].found()
            assert {k: len(v) for k, v in found.items()} == seen

    def test_a_process_scorecard_is_judged_though_it_was_to_be_ignored(self, clusters: Config) -> None:
        cluster = clusters.cluster("south")
        statement = with_change("scorecard", {"scorecard_id": "'new'"}, "conversation_id = ''")
        with inserted(cluster, "scorecard", statement, shard=0):
            assert not judged(cluster, "initech", process=False)
            assert judged(cluster, "initech").tables["scorecard"].found() == {"extra": [("default", "new")]}

    def test_a_deleted_process_scorecard_is_overlooked(self, clusters: Config) -> None:
        """A delete of conversations that takes process scorecards along is a loss that no conversation shows."""
        cluster = clusters.cluster("south")
        with psycopg.connect(stacks.dsn(cluster), autocommit=True) as postgres:
            postgres.execute(
                """INSERT INTO director.scorecards SELECT (jsonb_populate_record(s, '{"scorecard_id": "new"}')).*
                FROM director.scorecards s WHERE template_id = 'tpl-coaching' AND customer_id = 'initech' LIMIT 1"""
            )
            found = judged(cluster, "initech").tables["scorecard"].found()
            postgres.execute("DELETE FROM director.scorecards WHERE scorecard_id = 'new'")
        assert found == {"missing": [("default", "new")]}

    def test_a_source_with_an_id_twice_is_compared_all_the_same(self, clusters: Config) -> None:
        cluster = clusters.cluster("south")
        with psycopg.connect(stacks.dsn(cluster), autocommit=True) as postgres:
            postgres.execute(
                """INSERT INTO app.chats SELECT (jsonb_populate_record(c, '{"chat_id": "new"}')).*
                FROM app.chats c WHERE conversation_id = 'shared-2026-01-29' AND customer_id = 'initech'"""
            )
            with pytest.raises(AssertionError, match="1 ids twice"):
                judged(cluster, "initech")
            postgres.execute("DELETE FROM app.chats WHERE chat_id = 'new'")

    def test_a_customer_that_nobody_knows_is_called_right(self, clusters: Config) -> None:
        assert judged(clusters.cluster("south"), "nobody").expected == 0


def _shown(column: str) -> str:
    return {START: "start", STOP: "end"}.get(column, column)


@pytest.fixture(scope="module")
def swapped(clusters: Config, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    stacks.make_labels_anew(clusters.cluster("north"), "older")
    stacks.make_labels_anew(clusters.cluster("south"), "newer")
    return generate(clusters, size=0.03, first_day=FIRST, days=DAYS, folder=tmp_path_factory.mktemp("swapped"))


@pytest.fixture(scope="module")
def everywhere_swapped(clusters: Config, swapped: Planted) -> Judgements:
    return judged_everywhere(clusters)


class TestOtherForms:
    """Each cluster with the form of labels that the other one had; the last one, as it leaves them so."""

    @pytest.mark.parametrize("seen", KINDS)
    def test_a_defect_is_overlooked_or_another_row_is_blamed(
        self, everywhere_swapped: Judgements, swapped: Planted, seen: str
    ) -> None:
        assert_judged_as_planted(everywhere_swapped, swapped, seen)

    def test_a_label_lies_on_the_shard_of_its_end_in_the_newer_form(
        self, everywhere_swapped: Judgements, swapped: Planted
    ) -> None:
        assert_wrong_shards_as_planted(everywhere_swapped, swapped, LABELS)

    def test_a_clean_day_is_called_different(self, clusters: Config, swapped: Planted) -> None:
        for clean in swapped.clean:
            found = judged_day(clusters.cluster(clean.cluster), clean.customer, clean.day)
            assert not found, f"{clean}: {found}"
            assert found.tables[LABELS].expected > 10


def test_the_judge_repeats_an_error_of_the_transfer_as_it_shares_its_code() -> None:
    tree = ast.parse(Path(compare.__file__).read_text(encoding="utf-8"))
    names = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    names |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert not any(name.startswith("backfill_pipeline") for name in names)
