"""What the API server refuses, as our errors. The texts are those of a real one (1.36)."""

import json

import pytest
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import MaxRetryError

from backfill_pipeline.clients.kubernetes.errors import translate
from backfill_pipeline.domain.errors import Kind, PipelineError

FORBIDDEN = (
    'jobs.batch is forbidden: User "system:serviceaccount:cron:backfill-pipeline" cannot create resource "jobs" in API '
    'group "batch" in the namespace "cron"'
)


def answer(status: int, message: str | None = None) -> PipelineError:
    error = ApiException(status=status, reason="a reason")
    error.body = json.dumps({"kind": "Status", "message": message}) if message else "<html>"
    return translate(error, "Kubernetes did not create the Job", "https://127.0.0.1:6443, namespace cron")


def test_a_missing_right_names_account_verb_and_the_rule_to_add() -> None:
    error = answer(403, FORBIDDEN)
    assert error.why == "system:serviceaccount:cron:backfill-pipeline may not create jobs"
    assert '- {apiGroups: ["batch"], resources: [jobs], verbs: [create]}' in error.next_step
    assert (error.kind, error.code) == (Kind.STOP, "403")


QUOTA = 'jobs.batch "one" is forbidden: exceeded quota: few, requested: count/jobs.batch=1, used: count/jobs.batch=10'
ENDING = 'jobs.batch "one" is forbidden: unable to create new content in namespace cron because it is being terminated'
DENIED = 'admission webhook "validation.example.org" denied the request: you cannot do without labels: {"owner"}'


def test_a_quota_that_is_used_up_is_not_taken_for_a_missing_right() -> None:
    error = answer(403, QUOTA)
    assert (error.kind, error.code, error.why) == (Kind.RETRY, "403", QUOTA)
    assert "wait, or raise the quota" in error.next_step


@pytest.mark.parametrize("message", [ENDING, DENIED])
def test_what_admission_refuses_is_not_taken_for_a_missing_right(message: str) -> None:
    error = answer(403, message)
    assert (error.kind, error.why) == (Kind.STOP, f"admission refused it: {message}")
    assert "right" not in error.next_step


def test_a_right_that_is_no_resource_is_still_one() -> None:
    assert "right" in answer(403, 'forbidden: User "somebody" cannot get path "/metrics"').next_step


def test_who_is_not_logged_in_is_not_told_to_give_rights_to_everybody() -> None:
    error = answer(403, FORBIDDEN.replace("system:serviceaccount:cron:backfill-pipeline", "system:anonymous"))
    assert "gave no credentials" in error.why
    assert error.next_step == answer(401, "Unauthorized").next_step
    assert "Role" not in error.next_step
    assert error.kind is Kind.STOP


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Kind.STOP),
        (404, Kind.MISSING),
        (409, Kind.STOP),
        (422, Kind.STOP),
        (429, Kind.RETRY),
        (500, Kind.RETRY),
        (503, Kind.RETRY),
    ],
)
def test_what_may_pass_is_told_from_what_stays(status: int, kind: Kind) -> None:
    assert (answer(status, "said").kind, answer(status, "said").code) == (kind, str(status))
    assert answer(status, "said").why == "said"


def test_an_answer_that_is_no_status_of_kubernetes_is_told_by_its_number() -> None:
    """A proxy in between answers with a page of its own."""
    assert answer(502).why == "502 a reason"


def test_nobody_answering_is_unreachable() -> None:
    error = translate(MaxRetryError(None, "/apis"), "Kubernetes did not read", "here")  # type: ignore[arg-type]
    assert error.kind is Kind.UNREACHABLE


def test_a_header_that_cant_be_sent_is_quoted_with_its_credential() -> None:
    said = (
        ValueError("Invalid header value b'Bearer hunter2'"),
        UnicodeEncodeError("latin-1", "hunter2", 0, 1, "hunter2"),
    )
    for error in said:
        told = translate(error, "Kubernetes did not read", "here")
        assert told.kind is Kind.STOP
        assert "hunter2" not in str(told)
