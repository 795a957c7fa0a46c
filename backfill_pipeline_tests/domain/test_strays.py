from datetime import date

from backfill_pipeline.domain.strays import MAX_TEXT, Stray, too_many

DAYS = (date(2026, 1, 9), date(2026, 1, 12))


def test_a_statement_that_no_server_would_parse_is_refused_with_the_days_to_do_first() -> None:
    few = [Stray("default", "c" * 69, DAYS)] * (MAX_TEXT // 200)
    assert too_many("conversation_with_labels", few) is None
    reason = too_many("conversation_with_labels", [*few, few[0]])
    assert reason
    assert "751 ids" in reason
    assert "on 2 days from 2026-01-09 to 2026-01-12" in reason
