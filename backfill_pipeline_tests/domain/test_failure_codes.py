"""Every code that the systems list for what goes wrong around us has a cause, or stands here as unknown for a reason."""

import pytest

from backfill_pipeline.domain.causes import Cause
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.failures import RULES, diagnose, diagnose_error
from backfill_pipeline.stores.clickhouse import CODES, translate
from backfill_pipeline.stores.postgres import rule_of
from backfill_pipeline_tests.domain.failure_codes import (
    CLICKHOUSE,
    POSTGRESQL,
    UNKNOWN_TO_CLICKHOUSE,
    UNKNOWN_TO_POSTGRESQL,
)


def of_postgresql(code: str) -> PipelineError:
    """As the store words it."""
    rule = rule_of(code, "it failed")
    where = "postgresql://db:5432/app"
    return PipelineError(rule.reason, where=where, why="it failed", next_step=rule.next_step, kind=rule.kind, code=code)


def of_clickhouse(code: int, name: str) -> PipelineError:
    return translate(RuntimeError(f"Code: {code}. DB::Exception: It failed. ({name})"), "shard 1 (ch:8123)")


@pytest.mark.parametrize("code", POSTGRESQL)
def test_no_code_that_postgresql_lists_is_left_out_by_mistake(code: str) -> None:
    error = of_postgresql(code)
    causes = {
        diagnose_error(error).cause,
        diagnose([str(error)]).cause,
        diagnose([f"FATAL: no (SQLSTATE {code})"]).cause,
    }
    is_known = code not in UNKNOWN_TO_POSTGRESQL
    assert len(causes) == 1, "by its fields, by its words and by another driver's"
    assert (causes != {Cause.UNKNOWN}) is is_known
    assert (error.kind is not Kind.UNKNOWN) is is_known, "the store must know it too"


@pytest.mark.parametrize("code", CLICKHOUSE)
def test_no_code_that_clickhouse_lists_is_left_out_by_mistake(code: int) -> None:
    error = of_clickhouse(code, CLICKHOUSE[code])
    raw = f"Code: {code}. DB::Exception: It failed. ({CLICKHOUSE[code]})"
    causes = {diagnose_error(error).cause, diagnose([str(error)]).cause, diagnose([raw]).cause}
    is_known = code not in UNKNOWN_TO_CLICKHOUSE
    assert len(causes) == 1, "by its fields, by its words and by another driver's"
    assert (causes != {Cause.UNKNOWN}) is is_known
    assert (error.kind is not Kind.UNKNOWN) is is_known, "the store must know it too"


def test_no_reason_outlives_the_code_that_it_was_given_for() -> None:
    assert set(UNKNOWN_TO_POSTGRESQL) <= set(POSTGRESQL)
    assert set(UNKNOWN_TO_CLICKHOUSE) <= set(CLICKHOUSE)


def test_no_number_that_a_rule_knows_is_unknown_to_the_store() -> None:
    """Its kind decides whether a call is made again at once, long before anybody asks for a cause."""
    assert {code for rule in RULES if not rule.narrow for code in rule.clickhouse} <= set(CODES)
