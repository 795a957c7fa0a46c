import re
from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.naming import (
    check_id,
    cluster_pool,
    customer_pool,
    dagster_name,
    execution_uuid,
    job_name,
    workflow_id,
)
from backfill_pipeline.domain.windows import Window
from backfill_pipeline_tests.domain.strategies import confusing_ids, ids, uuids, windows

DNS_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DAY = Window(date(2026, 1, 15), date(2026, 1, 16))
UNPACKED = {"__": "_", "_h": "-", "_p": "."}
launches = st.tuples(st.just("conversations"), ids, ids, windows(max_days=3), uuids)
id_tuples = st.lists(confusing_ids, min_size=1, max_size=3).map(tuple)


def taken_apart(name: str) -> tuple[str, ...]:
    """The ids of a Dagster name, read from left to right; an independent inverse proves that no two share one."""
    found = [""]
    for token in re.findall(r"_.|[^_]", name):
        if token == "_x":
            found.append("")
        else:
            found[-1] += UNPACKED.get(token, token)
    return tuple(found)


@given(st.one_of(id_tuples, st.lists(ids, min_size=1, max_size=3).map(tuple)))
def test_two_customers_never_share_a_dagster_name(given_ids: tuple[str, ...]) -> None:
    name = dagster_name(*given_ids)
    assert re.fullmatch(r"[A-Za-z0-9_]+", name)
    assert taken_apart(name) == given_ids


@pytest.mark.parametrize(
    ("one", "other"),
    [(("a-b",), ("a_b",)), (("a_h",), ("a-",)), (("a", "b"), ("a_xb",)), (("a_", "b"), ("a", "_b")), (("A",), ("a",))],
)
def test_ids_that_look_like_each_others_escapes_stay_apart(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert dagster_name(*one) != dagster_name(*other)


@given(st.tuples(ids, ids), st.tuples(ids, ids))
def test_a_pool_never_holds_two_customers_or_a_cluster_and_a_customer(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_]+", customer_pool(*one) + cluster_pool(one[0]))
    assert (customer_pool(*one) == customer_pool(*other)) is (one == other)
    assert (cluster_pool(one[0]) == cluster_pool(other[0])) is (one[0] == other[0])
    assert customer_pool(*one) != cluster_pool(other[0])


@given(launches)
def test_k3_a_job_name_is_a_dns_label_whatever_the_customer_is_called(
    launch: tuple[str, str, str, Window, str],
) -> None:
    assert re.fullmatch(DNS_LABEL, job_name(*launch))


@pytest.mark.parametrize("customer", ["a" * 63, "-" * 63, "_._", "A.B", "-a-", "0", "." * 40 + "z"])
def test_k3_ids_that_are_no_dns_labels_make_valid_job_names(customer: str) -> None:
    assert re.fullmatch(DNS_LABEL, job_name("conversations", "north", customer, DAY, "1"))


@given(launches, launches)
def test_k2_two_launches_never_share_a_job(
    one: tuple[str, str, str, Window, str], other: tuple[str, str, str, Window, str]
) -> None:
    assert (job_name(*one) == job_name(*other)) is (one == other)


@pytest.mark.parametrize(
    "changed",
    [
        ("labels", "north", "acme", DAY, "1"),
        ("conversations", "south", "acme", DAY, "1"),
        ("conversations", "north", "Acme", DAY, "1"),
        ("conversations", "north", "acme", Window(DAY.start, date(2026, 1, 17)), "1"),
        ("conversations", "north", "acme", Window(date(2026, 1, 14), DAY.end), "1"),
        ("conversations", "north", "acme", DAY, "2"),
    ],
)
def test_k2_a_launch_that_differs_in_one_thing_never_adopts_the_others_job(
    changed: tuple[str, str, str, Window, str],
) -> None:
    assert job_name(*changed) != job_name("conversations", "north", "acme", DAY, "1")


def test_k3_long_customers_that_differ_at_their_end_do_not_share_a_job() -> None:
    names = {job_name("conversations", "north", "c" * 60 + end, DAY, "1") for end in ("-a", "-b", ".a", "_a")}
    assert len(names) == 4


@given(st.tuples(uuids, ids, ids), st.tuples(uuids, ids, ids))
def test_k4_two_executions_never_share_a_workflow_id(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (_workflow(*one) == _workflow(*other)) is (one == other)


@pytest.mark.parametrize(("customer", "profile"), [("acme-east", "default"), ("acme", "east-default")])
def test_k4_ids_that_are_prefixes_of_each_other_get_workflows_of_their_own(customer: str, profile: str) -> None:
    attempt = str(UUID(int=1))
    assert _workflow(attempt, customer, profile) != _workflow(attempt, "acme", "default")
    assert _workflow(attempt, "acme-east", "default") != _workflow(attempt, "acme", "east-default")


@given(uuids, ids, ids)
def test_a_repeated_job_finds_its_own_workflow_again(attempt: str, customer: str, profile: str) -> None:
    assert _workflow(attempt, customer, profile) == _workflow(attempt, customer, profile)
    assert len(_workflow(attempt, customer, profile)) < 255


def _workflow(attempt: str, customer: str, profile: str) -> str:
    execution = execution_uuid(attempt, "ReindexConversations", customer, profile, DAY.start_time)
    return workflow_id("reindexconversations", customer, profile, execution)


def test_k2_the_parts_of_a_window_get_workflows_of_their_own() -> None:
    """Else the second part's Job would adopt the first one's workflow, and its days would stay empty."""
    parts = Window(date(2026, 1, 1), date(2026, 1, 4)).split(1)
    assert len({execution_uuid("1", "ReindexConversations", "acme", "default", p.start_time) for p in parts}) == 3


@given(ids)
def test_an_id_of_the_allowed_form_is_left_as_it_is(text: str) -> None:
    assert check_id(text, "customer") == text


@pytest.mark.parametrize("text", ["", " ", "a b", "a/b", "a'b", "a\n", "\na", "ä", "a" * 64, "a,b", "%", "a;--", "\0"])
def test_an_id_that_could_break_a_name_or_a_statement_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="Not a valid customer"):
        check_id(text, "customer")
    with pytest.raises(Refused):
        dagster_name("north", text)
