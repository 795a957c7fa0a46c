"""Statements whose values stand in their text: whatever an id is made of, it arrives as it is."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.worker.transfer.statements import text_array

ODD = st.text(st.sampled_from("a\"\\',{} \n%🙂é"), max_size=8)
ANY = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@pytest.fixture(scope="module")
def connection(postgres_server: PostgresAddress) -> Iterator[Connection[TupleRow]]:
    with Postgres(postgres_server).connection() as connection:
        yield connection


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(ODD | ANY, max_size=20))
def test_an_id_of_quotes_and_braces_neither_changes_nor_ends_its_array(
    connection: Connection[TupleRow], ids: list[str]
) -> None:
    sent = [*ids, "NULL", ""] if ids else ids
    row = connection.execute(SQL("SELECT {}").format(text_array(sent))).fetchone()
    assert row == (sent,)
