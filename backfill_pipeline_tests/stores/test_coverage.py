"""Templates that nothing handles are found: a whole template was missing in the target for months, and nobody was told."""

from datetime import date

import pytest

from backfill_pipeline.domain.coverage import Coverage
from backfill_pipeline.domain.windows import ONE_DAY, Window
from backfill_pipeline.stores.coverage import coverage
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline_tests.worker import people

DAY = date(2026, 1, 15)
ONE = Window(DAY, DAY + ONE_DAY)
BOTH = ("conversations", "process_scorecards")


def of(source: Postgres, *configured: str, profiles: tuple[str, ...] = ("default",), at: Window = ONE) -> Coverage:
    return coverage(source, configured, "acme", profiles, at)


def execute(source: Postgres, statement: str) -> None:
    with source.connection() as connection:
        connection.execute(statement.encode())


def test_a_template_that_no_configured_dataset_handles_is_named_with_its_scorecards(source: Postgres) -> None:
    people.fill_process(source.address, template="public-response-audit", count=740)
    (missing,) = of(source, "conversations").unhandled(DAY)
    assert (missing.template_id, missing.template_type, missing.scorecards) == ("public-response-audit", 2, 740)
    assert of(source, "conversations").uncovered(DAY) == {"scorecard of dataset process_scorecards": 740}
    assert of(source, *BOTH).unhandled(DAY) == ()
    assert of(source, *BOTH).rows == 0


def test_templates_of_both_types_are_split_exactly_and_none_is_counted_twice(source: Postgres) -> None:
    people.fill(source.address, count=300, scores=1, day=people.DAY)
    with source.connection() as connection:
        connection.execute(
            "INSERT INTO director.scorecard_template_revisions SELECT 'template' || i, 1, 1, 'T' FROM generate_series(0, 2) i"
        )
    for n in range(8):
        people.fill_process(source.address, template=f"manual-{n}", count=10 + n, scores=1)
    found = of(source, *BOTH).of_day(DAY)
    by_type = {t: {g.template_id: g.scorecards for g in found if g.template_type == t} for t in (1, 2)}
    assert by_type[1] == {"template0": 100, "template1": 100, "template2": 100}
    assert by_type[2] == {f"manual-{n}": 10 + n for n in range(8)}
    assert {(g.template_type, g.belongs) for g in found} == {(1, "conversations"), (2, "process_scorecards")}


def test_the_seeds_131095_and_11237_scorecards_are_split_exactly(source: Postgres) -> None:
    """29 templates of type 1 with a conversation each, 8 of type 2 without."""
    people.fill(source.address, count=131_095, scores=0, day=people.DAY)
    execute(
        source,
        "INSERT INTO director.scorecard_template_revisions SELECT 'auto' || i, 1, 1, 'T' FROM generate_series(0, 28) i; "
        "UPDATE director.scorecards SET template_id = 'auto' || right(conversation_id, 8)::int % 29",
    )
    for n in range(8):
        people.fill_process(source.address, template=f"manual-{n}", count=11_237 // 8 + (n < 11_237 % 8), scores=0)
    found = of(source, *BOTH).of_day(DAY)
    totals = {t: [g.scorecards for g in found if g.template_type == t] for t in (1, 2)}
    assert {t: (len(counts), sum(counts)) for t, counts in totals.items()} == {1: (29, 131_095), 2: (8, 11_237)}
    assert {(g.template_type, g.belongs) for g in found} == {(1, "conversations"), (2, "process_scorecards")}
    assert of(source, *BOTH).rows == 0
    assert of(source, "conversations").rows == 11_237


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("UPDATE director.scorecard_template_revisions SET type = 1", "scorecard of type 1 without a conversation"),
        (
            "DELETE FROM director.scorecard_template_revisions",
            "scorecard without a template revision and without a conversation",
        ),
        ("UPDATE director.scorecards SET scorecard_time = NULL", "process scorecard without a usable time"),
        ("UPDATE director.scorecards SET scorecard_time = 'infinity'", "process scorecard without a usable time"),
        (
            "UPDATE director.scorecards SET conversation_id = 'nobody'",
            "scorecard of a conversation that app.chats does not have",
        ),
    ],
)
def test_rows_that_fit_no_dataset_are_named_by_class_and_never_silence(
    source: Postgres, change: str, name: str
) -> None:
    people.fill_process(source.address, count=10)
    execute(source, change)
    assert of(source, *BOTH).uncovered(DAY) == {name: 10}


def test_a_scorecard_of_type_2_with_a_conversation_is_loaded_with_it_and_named_for_itself(source: Postgres) -> None:
    people.fill(source.address, count=5)
    people.fill_process(source.address, template="template0", count=3)
    execute(source, "UPDATE director.scorecards SET template_id = 'template0'")
    accounting = of(source, *BOTH).accounting(DAY)
    assert accounting == {"conversations, though of type 2": 5, "process_scorecards": 3}


def test_appeals_dev_users_other_days_and_other_customers_are_no_gap(source: Postgres) -> None:
    people.fill_process(source.address, template="appeals", count=5)
    execute(source, "UPDATE director.scorecards SET scorecard_type = 2")
    people.fill(source.address, count=5)
    execute(source, "UPDATE app.chats SET is_dev_user = true")
    people.fill_process(source.address, "acme-east", template="theirs", count=5)
    people.fill_process(source.address, template="later", count=5, day=people.LONG_AGO)
    assert of(source).uncovered(DAY) == {}


def test_a_scorecard_whose_conversation_has_no_usable_start_is_named(source: Postgres) -> None:
    people.fill(source.address, count=5)
    execute(source, "UPDATE app.chats SET started_at = NULL")
    named = "scorecard of a conversation without a usable started_at"
    assert of(source, *BOTH).uncovered(DAY)[named] == 5


def test_a_conversation_whose_end_no_window_of_labels_can_hold_is_named(source: Postgres) -> None:
    people.fill(source.address, count=6)
    execute(source, "UPDATE app.chats SET ended_at = '2400-01-01' WHERE chat_id < 'chat2'")
    execute(source, "UPDATE app.chats SET ended_at = 'infinity' WHERE chat_id = 'chat2'")  # it goes on: no gap
    assert of(source, *BOTH).uncovered(DAY) == {"conversation without a usable ended_at": 2}
