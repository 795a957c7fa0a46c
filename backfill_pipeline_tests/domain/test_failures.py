"""Failures are told by what the systems really say; what only looks like a cause stays unknown."""

import re

import pytest

from backfill_pipeline.domain.causes import SQLSTATE_LENGTH, Cause, Remedy
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.failures import RULES, diagnose, diagnose_error
from backfill_pipeline.stores.clickhouse import CODES
from backfill_pipeline.stores.postgres import SQLSTATES, rule_of
from backfill_pipeline_tests.domain.failure_texts import RECORDED, Recorded
from backfill_pipeline_tests.domain.failure_texts_of_kubernetes import AWAY

OURS = re.compile(
    r"(?P<what>.*?)(?: \[(?P<code>\w+)\])?\. Where: (?P<where>.*?)\. Why: (?P<why>.*)\. Next: (?P<next>.*)\."
)
FINAL = (Kind.STOP, Kind.MISSING, Kind.REFUSED)
# They look like a cause and are none: counts, names and ids, other systems' codes.
FALSE_FRIENDS = (
    "customer Evicted: 12 days differ",
    "customer OOMKilled, profile ImagePullBackOff: 3 rows too few",
    "profile JobSuspended (acme): 3 rows too few",
    "profile TERMINATED of customer CANCELED: target 0, source 14",
    "rows (40001 of 57014) were read, 42703 are left",
    "conversation ids [40001], [57014] and [53300] differ",
    "the target holds 241 rows more, 252 of them doubled, code 344",
    "Job one failed: BackoffLimitExceeded (Job has reached the specified backoff limit); container Error, exit code 241; "
    "its log ends: exit code: 241, bye",
    "the proxy answered with status code: 202, message: accepted",
    "Error code: 159. Bad gateway",
    "order 17 (CANCELED) of customer acme",
    "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
    "the day 2026-01-15 is Unschedulable for customer acme",
    "column 3 of 5 does not exist on page 2",
    "bash: -c: line 1: unexpected EOF while looking for matching quote",
    "its template is no XML: XML syntax error: unexpected EOF",
    "a query_wait_timeout of 120 s is configured",
    "the Job of customer Shutdown, profile pod NodeLost (acme): 143 rows too few",
    "exit code 143 is told for a signal",
    "the Job of customer acme, profile pod DeadlineExceeded (acme): 3 rows too few",
    "customer broken pipe, profile i/o timeout: 3 rows too few",
    "a heartbeat timeout of 60 s is configured",
    "Kubernetes did not create the Job [403]. Where: https://10.0.0.1, namespace jobs. Why: no. Next: ask.",
)


def an_error(kind: Kind, code: str | None = None, where: str = "here", why: str = "nobody knows") -> PipelineError:
    return PipelineError("It failed", where=where, why=why, next_step="do what it says", kind=kind, code=code)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda r: f"{r.cause.name}-{r.where[:20]}")
def test_what_a_system_really_said_is_told_by_its_cause(recorded: Recorded) -> None:
    found = diagnose([recorded.text])
    assert found.cause is recorded.cause, recorded
    assert found.evidence
    assert found.next_step


@pytest.mark.parametrize("cause", Cause)
def test_no_cause_is_forgotten_each_has_a_text_that_a_system_said(cause: Cause) -> None:
    assert [r for r in RECORDED if r.cause is cause]


@pytest.mark.parametrize("phrase", [phrase for rule in RULES for phrase in rule.phrases])
def test_no_phrase_is_made_up_each_stands_in_a_text_that_a_system_said(phrase: str) -> None:
    assert [r for r in RECORDED if re.search(phrase, r.text)]


def test_no_remedy_is_forgotten_and_none_is_never_given() -> None:
    assert {diagnose([r.text]).remedy for r in RECORDED} == set(Remedy)


@pytest.mark.parametrize("text", FALSE_FRIENDS)
def test_a_count_a_name_or_another_systems_code_is_not_taken_for_a_cause(text: str) -> None:
    assert diagnose([text]).cause is Cause.UNKNOWN


def test_what_nobody_knows_is_tried_again_but_once() -> None:
    assert diagnose(["something else"]).remedy is Remedy.ONCE
    assert diagnose_error(an_error(Kind.UNKNOWN)).remedy is Remedy.ONCE
    assert diagnose([]).evidence == diagnose(["", " "]).evidence == "nothing was said"


def typed(recorded: Recorded) -> PipelineError | None:
    """The error whose words these are, of no kind; None for other words."""
    found = OURS.fullmatch(recorded.text)
    if not found:
        return None
    how = {"where": found["where"], "why": found["why"], "next_step": found["next"], "code": found["code"]}
    return PipelineError(found["what"], kind=Kind.UNKNOWN, **how)


def test_an_error_is_told_by_its_fields_as_by_its_words() -> None:
    errors = [(typed(r), r.cause) for r in RECORDED]
    assert len([e for e, _ in errors if e]) > 50
    assert [str(e) for e, cause in errors if e and diagnose_error(e).cause is not cause] == []


def test_no_text_of_postgresql_is_known_here_and_unknown_to_its_store() -> None:
    errors = [e for e in map(typed, RECORDED) if e and e.what.startswith("PostgreSQL failed: ")]
    assert len(errors) > 50
    assert [e for e in errors if e.what != f"PostgreSQL failed: {rule_of(e.code, e.why).reason}"] == []


@pytest.mark.parametrize(
    ("remedy", "causes"),
    [
        (Remedy.WAIT, (Cause.UNREACHABLE, Cause.SERVER_SHUTDOWN, Cause.TOO_MANY_CONNECTIONS, Cause.READ_ONLY)),
        (Remedy.WAIT, (Cause.EVICTED, Cause.UNSCHEDULABLE)),
        (Remedy.BY_HAND, (Cause.POD_REFUSED, Cause.CANCELLED)),
        (Remedy.WAIT, (Cause.KEEPER, Cause.OVERLOADED, Cause.UNFINISHED_REPLICA)),
        (Remedy.AGAIN, (Cause.CONNECTION_LOST, Cause.NO_ANSWER, Cause.LOCK_TIMEOUT, Cause.WORKER_BLOCKED)),
        (Remedy.SMALLER, (Cause.HISTORY_LIMIT,)),
    ],
)
def test_what_is_away_is_waited_for_and_what_broke_in_the_middle_is_done_again(
    remedy: Remedy, causes: tuple[Cause, ...]
) -> None:
    """A server that is away for an hour costs no attempt; a connection that breaks each time must end in smaller Jobs."""
    assert {diagnose([r.text]).remedy for r in RECORDED if r.cause in causes} == {remedy}


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (Kind.REFUSED, Cause.REFUSED),
        (Kind.UNREACHABLE, Cause.UNREACHABLE),
        (Kind.MISSING, Cause.MISSING),
        (Kind.STOP, Cause.FAILS_AGAIN),
        (Kind.RETRY, Cause.PASSING),
        (Kind.UNKNOWN, Cause.UNKNOWN),
    ],
)
def test_an_error_of_which_only_the_kind_is_known_keeps_its_own_next_step(kind: Kind, cause: Cause) -> None:
    found = diagnose_error(an_error(kind))
    assert (found.cause, found.next_step) == (cause, "do what it says")


def test_no_kind_of_error_is_forgotten() -> None:
    assert {kind for rule in RULES for kind in rule.kinds} == set(Kind) - {Kind.UNKNOWN}


def test_a_guard_that_quotes_a_failure_still_refused() -> None:
    quoting = "the run before ended with: deadlock detected [40P01]. Where: postgresql://db"
    assert diagnose_error(Refused("No", where="here", why=quoting, next_step="ask")).cause is Cause.REFUSED


def test_an_http_status_is_not_taken_for_clickhouses_error_of_that_number() -> None:
    assert diagnose_error(an_error(Kind.RETRY, "241", "https://10.0.0.1, namespace jobs")).cause is Cause.PASSING
    assert diagnose_error(an_error(Kind.RETRY, "241", "ClickHouse shard 1")).cause is Cause.CLICKHOUSE_MEMORY


@pytest.mark.parametrize("code", SQLSTATES)
def test_no_code_that_the_postgresql_store_knows_is_unknown_here(code: str) -> None:
    kind = SQLSTATES[code].kind
    found = diagnose_error(an_error(kind, code.ljust(SQLSTATE_LENGTH, "0"), "postgresql://db:5432/app"))
    assert found.cause not in (Cause.UNKNOWN, Cause.PASSING)
    assert (found.remedy is Remedy.BY_HAND) is (kind in FINAL)


@pytest.mark.parametrize("code", CODES)
def test_no_code_that_the_clickhouse_store_knows_is_unknown_here(code: int) -> None:
    found = diagnose_error(an_error(CODES[code][0], str(code), "ClickHouse shard 1"))
    assert found.cause not in (Cause.UNKNOWN, Cause.PASSING)
    # A killed query is not sent again at once, and yet a later run may do it.
    assert (found.remedy is Remedy.BY_HAND) is (CODES[code][0] in FINAL and code != 394)


def test_the_cause_is_told_and_not_what_followed_from_it() -> None:
    texts = [
        "Job one failed: DeadlineExceeded (Job was active longer than specified deadline), before that "
        'ImagePullBackOff (Back-off pulling image "absent:1"); its log ends: ',
        "workflow a CANCELED: no reason given",
        "no execution was started for profile default",
    ]
    assert diagnose(texts).cause is Cause.IMAGE_PULL
    assert diagnose(texts[1:]).cause is Cause.CANCELLED
    assert diagnose([*texts, "ERROR: deadlock detected (SQLSTATE 40P01)"]).cause is Cause.DEADLOCK


@pytest.mark.parametrize("recorded", [r for r in RECORDED if r.cause is Cause.IMAGE_PULL], ids=lambda r: r.text[-30:])
def test_a_registry_that_is_away_for_an_hour_needs_no_hand_and_a_wrong_name_does(recorded: Recorded) -> None:
    assert diagnose([recorded.text]).remedy is (Remedy.WAIT if recorded.where == AWAY else Remedy.BY_HAND)


def test_d8_a_cancel_is_told_by_the_workflow_and_not_by_the_signal_that_any_drain_sends() -> None:
    [ended, *_] = [r.text for r in RECORDED if r.cause is Cause.SIGTERM and "the executions" in r.text]
    assert diagnose([ended]).remedy is Remedy.AGAIN
    assert diagnose([ended, "workflow a CANCELED: no reason given"]).remedy is Remedy.BY_HAND


def test_a_job_that_nobody_resumes_is_not_tried_ever_smaller() -> None:
    """Its deadline is over as well, and no size of it is small enough to begin."""
    [late] = [r.text for r in RECORDED if r.cause is Cause.SUSPENDED and "deadline" in r.text]
    assert diagnose([late, "no execution was started for profile default"]).remedy is Remedy.BY_HAND


def test_the_evidence_shows_what_gave_the_cause_away_however_long_the_text() -> None:
    found = diagnose([f"{'x ' * 5000}\ndeadlock   detected (SQLSTATE 40P01)\n{'y ' * 5000}"])
    assert "SQLSTATE 40P01" in found.evidence
    quoted = diagnose(["It failed so that another could go on. " * 9 + "Why: ERROR: deadlock detected DETAIL: x waits"])
    assert quoted.evidence.startswith("Why: ERROR: deadlock detected")
    assert len(found.evidence) <= 300
    assert str(found).startswith("deadlock: again, smaller. ")


def test_no_text_of_a_job_is_refused_as_the_value_of_a_tag_or_obeyed_by_a_terminal() -> None:
    said = diagnose(["begun\x00ended\x1b]0;mine\x07\x9b31m \udcff deadlock detected\r\nDETAIL: Process\t42 é 漢 🙂"])
    assert said.cause is Cause.DEADLOCK
    assert said.evidence == "begun ended ]0;mine 31m deadlock detected DETAIL: Process 42 é 漢 🙂"


@pytest.mark.parametrize("named", [*Cause, *Remedy])
def test_no_name_is_refused_as_the_value_of_a_tag(named: Cause | Remedy) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,63}", named.slug)
    assert len({n.slug for n in type(named)}) == len(type(named))
