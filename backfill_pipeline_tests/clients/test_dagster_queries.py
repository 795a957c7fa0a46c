"""What is asked of Dagster is what the pinned Dagster understands: an upgrade that renames a field fails here first."""

import pytest
from dagster_graphql.schema import create_schema
from graphql import parse, validate

from backfill_pipeline.clients import dagster_queries

QUERIES = {name: text for name, text in vars(dagster_queries).items() if name.isupper()}
QUERIES |= {f"targeted {n}": dagster_queries.targeted(n) for n in (1, 260)}


@pytest.mark.parametrize("name", QUERIES)
def test_no_question_is_one_that_dagster_refuses(name: str) -> None:
    assert validate(create_schema().graphql_schema, parse(QUERIES[name])) == []


def test_a_question_with_a_field_that_dagster_lacks_would_be_found() -> None:
    wrong = QUERIES["RUNS"].replace("startTime", "beginTime")
    assert validate(create_schema().graphql_schema, parse(wrong))
