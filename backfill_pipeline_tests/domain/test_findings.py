from datetime import date

from backfill_pipeline.domain.findings import judge_active_days

FIRST, SECOND = date(2026, 1, 1), date(2026, 1, 2)


def test_an_agent_with_a_day_too_many_is_named_on_that_day_alone() -> None:
    source = {("ann", FIRST): 3, ("bob", FIRST): 1}
    found = judge_active_days((FIRST, SECOND), source, {**source, ("ann", SECOND): 1})
    assert found[FIRST] == []
    assert [str(f) for f in found[SECOND]] == [
        "1 agents are active in ClickHouse and not in PostgreSQL (for example ann)"
    ]


def test_an_agent_with_a_day_too_few_is_named_too() -> None:
    (finding,) = judge_active_days((FIRST,), {("", FIRST): 1}, {})[FIRST]
    assert str(finding) == "1 agents are active in PostgreSQL and not in ClickHouse (for example no agent)"


def test_more_conversations_on_the_same_days_are_no_matter_of_active_days() -> None:
    assert judge_active_days((FIRST,), {("ann", FIRST): 1}, {("ann", FIRST): 9})[FIRST] == []
