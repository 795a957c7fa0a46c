from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from backfill_pipeline.domain.datasets import CONVERSATIONS, Target
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.guards import Approval, GuardLimits, Signals, approvals, refusals, window_refusals
from backfill_pipeline.domain.schemas import TableSchema
from backfill_pipeline.domain.strays import Stray
from backfill_pipeline.domain.verdicts import Sums, TableSum
from backfill_pipeline.domain.windows import Window
from backfill_pipeline_tests.domain.schema import schema_of

WINDOW = Window(date(2026, 1, 1), date(2026, 1, 4))
FIRST, SECOND, THIRD = WINDOW.days
LIMITS = GuardLimits(max_window_days=31, max_rows_without_approval=1_000_000, min_source_ratio=0.9)
APPROVED = replace(LIMITS, approved=frozenset(Approval))
PROFILE = "default"
SCHEMAS = tuple(schema_of(t) for t in CONVERSATIONS.targets)


def test_d10_a_window_older_than_the_sources_retention_is_not_emptied() -> None:
    kept = replace(LIMITS, retention_days=30)
    assert window_refusals(WINDOW, date(2026, 1, 31), kept) == ()
    (reason,) = window_refusals(WINDOW, date(2026, 2, 1), kept)
    assert "retention_days" in reason
    assert window_refusals(WINDOW, date(2026, 2, 1), replace(kept, approved=frozenset({Approval.RETENTION}))) == ()


def sums(rows: int = 100, **of_days: int | None) -> Sums:
    """The same rows of every table on every day; `day_2=5` sets the second day's, `day_2=None` leaves it out."""
    wanted = {d: of_days.get(f"day_{n}", rows) for n, d in enumerate(WINDOW.days, 1)}
    return {d: {t.table: TableSum(n) for t in CONVERSATIONS.targets} for d, n in wanted.items() if n is not None}


def signals(**overrides: Any) -> Signals:
    """What inspect sees of a window that may be deleted; sums are those of the one profile."""
    good: dict[str, Any] = {
        "dataset": CONVERSATIONS,
        "customer": "acme",
        "profiles": (PROFILE,),
        "window": WINDOW,
        "today": date(2026, 2, 1),
        "source": sums(),
        "target": sums(),
        "schemas": SCHEMAS,
        "future_rows": {t.table: 0 for t in CONVERSATIONS.targets},
    }
    seen = {**good, **overrides}
    sides = {side: seen[side] and {PROFILE: seen[side]} for side in ("source", "target")}
    return Signals(**{**seen, **sides})


def with_first(**changes: Any) -> tuple[TableSchema, ...]:
    return (replace(SCHEMAS[0], **changes), *SCHEMAS[1:])


def test_a_good_window_is_not_held_up() -> None:
    assert refusals(signals(), LIMITS) == ()


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        pytest.param({"customer": ""}, "no customer is named", id="d11_no_customer"),
        pytest.param({"today": THIRD}, "2026-01-03 (UTC) is not over yet", id="a_day_not_over"),
        pytest.param({"today": FIRST}, "ends after yesterday", id="the_future"),
        pytest.param({"source": None}, "the source could not be counted", id="d9_source_unknown"),
        pytest.param({"target": None}, "the target could not be counted", id="d9_target_unknown"),
        pytest.param(
            {"source": sums(day_2=None)},
            "2026-01-02: conversation of profile default could",
            id="d9_source_day",
        ),
        pytest.param(
            {"target": sums(day_3=None)},
            "could not be counted in the target",
            id="d9_target_day",
        ),
        pytest.param(
            {"source": sums(day_2=89)}, "source has 89 of conversation, the target 100 (89%", id="d10_smaller"
        ),
        pytest.param({"source": sums(3), "target": sums(57_000)}, "the target 57,000 (0%", id="d10_nearly_nothing"),
        pytest.param({"source": sums(0)}, "the source has 0 of conversation", id="d10_source_empty"),
        pytest.param({"source": sums(0), "target": sums(1)}, "the target 1 (0%", id="d10_a_single_row"),
        pytest.param({"future_rows": {"score": 7}}, "score: 7 rows have a version from the future", id="future_rows"),
        pytest.param({"schemas": with_first(views=("default.mv",))}, "the view default.mv is not", id="d14_view"),
        pytest.param({"schemas": with_first(engine="MergeTree")}, "conversation: engine is MergeTree", id="engine"),
        pytest.param({"schemas": with_first(sorting_key="chat_id")}, "sorting key is (chat_id)", id="key"),
        pytest.param({"dead_shards": ("2",)}, "shard 2 has no active replica", id="d3_dead_shard"),
        pytest.param({"queued_blocks": 4}, "4 blocks wait in the distribution queue", id="l0_queue"),
    ],
)
def test_one_bad_signal_alone_keeps_the_rows(overrides: Mapping[str, Any], reason: str) -> None:
    found = refusals(signals(**overrides), LIMITS)
    assert found
    assert any(reason in r for r in found), found


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (replace(LIMITS, max_window_days=2), "3 days, the maximum is 2 (limits.max_window_days)"),
        (
            replace(LIMITS, max_rows_without_approval=899),
            "900 source rows are above 899 [meant so? --approve rows, or run tag approved/rows=true]",
        ),
    ],
)
def test_a_window_above_a_limit_names_the_limit(limits: GuardLimits, reason: str) -> None:
    assert [r for r in refusals(signals(), limits) if reason in r]
    assert len(refusals(signals(), limits)) == 1


def test_the_largest_allowed_window_is_not_refused() -> None:
    limits = replace(LIMITS, max_window_days=3, max_rows_without_approval=900)
    assert refusals(signals(today=WINDOW.end), limits) == ()


@pytest.mark.parametrize(("source", "is_refused"), [(89, True), (90, False), (100, False), (5_000, False)])
def test_d10_a_source_below_the_share_keeps_the_day(source: int, is_refused: bool) -> None:
    assert bool(refusals(signals(source=sums(day_1=source)), LIMITS)) is is_refused


def test_d10_every_day_that_shrank_is_named_and_no_other() -> None:
    found = refusals(signals(source=sums(day_1=1, day_3=2)), LIMITS)
    assert [r[:10] for r in found] == [str(FIRST), str(THIRD)]


def test_d10_scorecards_that_are_gone_while_their_conversations_are_not_are_not_deleted_too() -> None:
    lost = {d: {**tables, "scorecard": TableSum(0), "score": TableSum(49)} for d, tables in sums().items()}
    found = refusals(signals(source=lost), LIMITS)
    assert len(found) == 3
    assert all("0 of scorecard" in r and "49 of score" in r and "of conversation" not in r for r in found)
    shrunk = {d: {**tables, "scorecard": TableSum(50)} for d, tables in sums().items()}
    assert refusals(signals(source=shrunk), LIMITS) == ()


def test_d10_an_empty_source_is_refused_even_where_every_share_is_allowed() -> None:
    limits = replace(LIMITS, min_source_ratio=0.0)
    assert refusals(signals(source=sums(day_1=1)), limits) == ()
    assert refusals(signals(source=sums(day_1=0)), limits)


def test_d10_a_day_that_is_empty_on_both_sides_is_no_accident() -> None:
    assert refusals(signals(source=sums(0), target=sums(0)), LIMITS) == ()


def test_d10_a_window_whose_target_is_empty_may_be_loaded() -> None:
    assert refusals(signals(target=sums(0)), LIMITS) == ()


def test_d10_a_person_may_ask_for_a_shrunken_source_by_name() -> None:
    shrunk = signals(source=sums(0))
    assert len(refusals(shrunk, LIMITS)) == 3
    assert refusals(shrunk, replace(LIMITS, approved=frozenset({Approval.SHRUNKEN_SOURCE}))) == ()


TOO_MUCH = replace(LIMITS, max_rows_without_approval=1, retention_days=1)
OF_ALL = {
    Approval.SHRUNKEN_SOURCE: "the source has 5 of",
    Approval.RETENTION: "keeps 1 days",
    Approval.ROWS: "source rows are above 1",
    Approval.FUTURE_VERSIONS: "version from the future",
}


@pytest.mark.parametrize("approval", list(Approval))
def test_d10_what_is_approved_by_name_approves_nothing_else(approval: Approval) -> None:
    seen = signals(source=sums(5), future_rows={"score": 7})
    found = refusals(seen, replace(TOO_MUCH, approved=frozenset({approval})))
    for other, reason in OF_ALL.items():
        told = [r for r in found if reason in r]
        assert all(other.tag in r for r in told)
        assert bool(told) is (other is not approval)


def test_d10_a_small_profile_that_is_gone_does_not_hide_behind_a_large_one() -> None:
    both = replace(
        signals(),
        profiles=("retail", "support"),
        source={"retail": sums(10_000), "support": sums(0)},
        target={"retail": sums(10_000), "support": sums(100)},
    )
    found = refusals(both, LIMITS)
    assert len(found) == 3
    assert all("profile support: the source has 0" in r for r in found)


@pytest.mark.parametrize("value", ["false", "", "0", "no", "True "])
def test_a_tag_that_says_no_does_not_empty_a_day(value: str) -> None:
    assert approvals({"approved/rows": value, "launched_by": "me"}) == frozenset()
    assert approvals({}) == frozenset()
    assert approvals({"approved/rows": "true", "approved/retention": value}) == {Approval.ROWS}


@pytest.mark.parametrize("tag", ["approved", "approved/", "approved/everything", "approved/Rows"])
def test_an_approval_that_no_guard_knows_is_neither_a_yes_nor_silence(tag: str) -> None:
    with pytest.raises(Refused, match="approved/shrunken_source=true"):
        approvals({tag: "true"})


@pytest.mark.parametrize(
    "overrides",
    [
        {"source": None},
        {"target": None},
        {"source": sums(day_2=None)},
        {"target": sums(day_2=None)},
        {"customer": ""},
        {"today": FIRST},
        {"dead_shards": ("1",)},
        {"queued_blocks": 1},
        {"schemas": with_first(engine="MergeTree")},
        {"schemas": with_first(views=("default.mv",))},
    ],
)
def test_d9_approval_never_turns_an_unknown_or_a_broken_server_into_a_yes(overrides: Mapping[str, Any]) -> None:
    assert refusals(signals(**overrides), APPROVED)


def test_d9_a_table_that_one_side_did_not_count_is_not_taken_for_empty() -> None:
    for table in (t.table for t in CONVERSATIONS.targets):
        without = {d: {t: s for t, s in tables.items() if t != table} for d, tables in sums().items()}
        assert len(refusals(signals(source=without), APPROVED)) == 3
        assert len(refusals(signals(target=without), LIMITS)) == 3


def test_d14_a_view_that_the_configuration_lists_is_let_through_and_no_other() -> None:
    views = signals(schemas=with_first(views=("default.mv", "default.other")))
    found = refusals(views, replace(LIMITS, known_views=("default.mv",)))
    assert [r for r in found if "default.other" in r]
    assert not [r for r in found if "default.mv" in r]


@pytest.mark.parametrize(("free", "is_refused"), [(199, True), (200, False), (None, False), (0, True)])
def test_d17_an_alter_without_room_for_twice_the_largest_part_is_refused(free: int | None, is_refused: bool) -> None:
    full = signals(schemas=with_first(largest_part_bytes=100, free_disk_bytes=free))
    assert bool(refusals(full, replace(LIMITS, is_alter=True))) is is_refused
    assert refusals(full, LIMITS) == (), "a lightweight delete rewrites no part"


def test_no_reason_is_hidden_behind_another() -> None:
    bad = signals(
        today=SECOND,
        source=sums(1),
        schemas=with_first(views=("default.mv",), engine="MergeTree", largest_part_bytes=9, free_disk_bytes=1),
        future_rows={"score": 7, "conversation": 1, "scorecard": 0},
        dead_shards=("1", "2"),
        queued_blocks=3,
    )
    found = refusals(bad, replace(LIMITS, max_window_days=1, is_alter=True))
    wanted = ["maximum is 1", "not over yet", "engine is", "default.mv", "ALTER rewrites", "shard 1", "shard 2"]
    wanted += ["3 blocks", str(FIRST), str(SECOND), str(THIRD), "score: 7 rows", "conversation: 1 rows"]
    assert [w for w in wanted if not any(w in r for r in found)] == []
    assert len(found) == len(wanted)


def test_d10_a_day_that_shrank_is_not_hidden_behind_one_that_was_not_counted() -> None:
    found = refusals(signals(source=sums(day_1=1, day_2=None)), LIMITS)
    assert len([r for r in found if str(SECOND) in r]) == 3
    assert len([r for r in found if "source has 1 of conversation" in r]) == 1
    assert len(found) == 4


def test_a_fault_that_both_shards_have_is_said_once() -> None:
    both = (*with_first(engine="MergeTree"), *with_first(engine="MergeTree"))
    assert len(refusals(signals(schemas=both), LIMITS)) == 1


def test_d16_a_day_that_is_still_being_written_is_refused_before_any_system_is_asked() -> None:
    assert window_refusals(WINDOW, THIRD, LIMITS)
    assert window_refusals(WINDOW, WINDOW.end, LIMITS) == ()


def test_every_target_has_a_schema_that_counts_as_good() -> None:
    targets: tuple[Target, ...] = CONVERSATIONS.targets
    assert [s.table for s in SCHEMAS] == [t.table for t in targets]


def test_a_conversation_that_the_label_job_would_not_find_refuses_the_window_by_the_limits_name() -> None:
    day = timedelta(hours=24)
    assert refusals(signals(longest=day), LIMITS) == ()
    (reason,) = refusals(signals(longest=day + timedelta(seconds=1)), LIMITS)
    assert "limits.longest_conversation_hours" in reason


def test_more_strays_than_one_statement_can_name_refuse_the_window() -> None:
    strays = [Stray(PROFILE, "c" * 1000, (FIRST,))] * 200
    (reason,) = refusals(signals(strays={"conversation": strays}), LIMITS)
    assert "reindex those first" in reason


def test_a_day_of_doubled_rows_is_not_taken_for_a_source_that_shrank() -> None:
    def doubled(surplus: int) -> Sums:
        return {d: {t: TableSum(s.rows, 0, surplus) for t, s in day.items()} for d, day in sums(200).items()}

    assert refusals(signals(target=doubled(100)), LIMITS) == ()
    assert refusals(signals(target=doubled(0)), LIMITS)
