"""`backfill cancel` with a Dagster made by hand: it says what it ends, what goes on, and what became of it."""

import io
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import pytest

from backfill_pipeline import cli
from backfill_pipeline.cli import site
from backfill_pipeline.clients.dagster import RunState, Unfinished
from backfill_pipeline.defs import tags
from backfill_pipeline.defs.partitions import range_tags
from backfill_pipeline.domain.causes import Cause, Remedy
from backfill_pipeline.domain.retries import DayState, Ended, Of, Outcome, Policy, asked_again, due, fold, is_withdrawn
from backfill_pipeline.operations import again, cancel
from backfill_pipeline.operations.again import failed_days
from backfill_pipeline.steps import systems
from backfill_pipeline.stores import pauses
from backfill_pipeline.stores.failed_days import failed_days_of
from backfill_pipeline.stores.ledger import Emptied, Ledger
from backfill_pipeline_tests.operations.past import Past, window

ACME, GLOBEX = ("conversations", "north", "acme"), ("conversations", "north", "globex")
GATE = ("ready", "north")
DAYS = window(1, 10)
EMPTIED = Emptied("north", "acme", "conversations", DAYS, "attempt", datetime(2026, 2, 1, tzinfo=UTC))
OF, POLICY = Of("north", "acme", "conversations"), Policy(5, timedelta(minutes=1))
LONG_AGO = datetime(2026, 2, 1, tzinfo=UTC)
Said = Callable[..., tuple[int, str]]


def run_of(key: tuple[str, ...], run_id: str = "r1", status: str = "STARTED") -> RunState:
    return RunState(run_id, status, frozenset([key]), {"launched_by": "alice", **range_tags(DAYS)}, 0.0)


def backfill_of(*keys: tuple[str, ...]) -> Unfinished:
    return Unfinished("b1", "north", 0.0, frozenset([GATE, *keys]), frozenset(DAYS.days))


@dataclass
class Fake:
    """Dagster and the ledger. polls: how often a run that was asked to end is still seen."""

    runs: list[RunState] = field(default_factory=list)
    backfills: list[Unfinished] = field(default_factory=list)
    gone: list[Emptied] = field(default_factory=list)
    polls: int = 0
    ended: set[str] = field(default_factory=set)
    failed: dict[tuple[Of, date], DayState] = field(default_factory=dict)

    def unfinished_runs(self) -> tuple[RunState, ...]:
        if self.ended:
            self.polls -= 1
        if self.polls < 0:
            self.runs = [r for r in self.runs if r.run_id not in self.ended]
        return tuple(replace(r, status="CANCELING") if r.run_id in self.ended else r for r in self.runs)

    def unfinished_backfills(self) -> tuple[Unfinished, ...]:
        return tuple(self.backfills)

    def cancel_backfill(self, backfill_id: str) -> None:
        self.backfills = [b for b in self.backfills if b.backfill_id != backfill_id]

    def terminate(self, run_ids: Sequence[str]) -> dict[str, str]:
        self.ended |= set(run_ids)
        return {}

    def emptied(self) -> tuple[Emptied, ...]:
        return tuple(self.gone)

    def keep(self, states: Iterable[DayState]) -> None:
        self.failed |= {(s.last.of, s.day): s for s in states}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake = Fake()
    for name in ("LEDGER_PASSWORD", "NORTH_PG_PASSWORD", "NORTH_CH_PASSWORD"):
        monkeypatch.setenv(name, "-")
    monkeypatch.setattr(site, "dagster_client", lambda _: fake)
    monkeypatch.setattr(systems, "open_ledger", lambda _: fake)
    for reader in (cancel, again):
        monkeypatch.setattr(reader, "read_failed_days", lambda ledger: ledger.failed)
    monkeypatch.setattr(cancel, "write_failed_days", lambda ledger, states: ledger.keep(states))
    paused = pauses.Pause("north", False, "its disk", "alice", LONG_AGO, None)
    monkeypatch.setattr(pauses, "read_pauses", lambda _: {"north": paused})
    monkeypatch.setattr(cancel, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return fake


@pytest.fixture
def said(fake: Fake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Exit code and output of `backfill cancel`."""

    def ran(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["backfill", "cancel", "--config", "config.example.yaml", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), "".join(capsys.readouterr())

    return ran


def test_a_backfill_that_goes_on_with_these_customers_is_told_as_nothing(fake: Fake, said: Said) -> None:
    """It has made no run yet."""
    fake.backfills = [backfill_of(ACME, GLOBEX)]
    code, text = said("--customer", "acme", "--yes")
    assert code == 1
    assert "nothing is at work" not in text
    assert "it is not cancelled" in text
    assert "`backfill pause north --why ...`" in text
    assert "`backfill cancel --cluster north`" in text


def test_a_cancel_of_one_run_hides_that_its_backfill_launches_it_again(fake: Fake, said: Said) -> None:
    fake.backfills, fake.runs = [backfill_of(ACME, GLOBEX)], [run_of(ACME)]
    code, text = said("--customer", "acme", "--yes")
    assert (code, fake.ended) == (1, {"r1"})
    assert "it is not cancelled" in text


def test_whoever_is_asked_does_not_know_what_would_be_cancelled(fake: Fake, said: Said) -> None:
    fake.backfills, fake.runs, fake.gone = [backfill_of(ACME)], [run_of(ACME)], [EMPTIED]
    code, text = said("--customer", "acme", "--leave-empty")
    assert (code, fake.ended) == (1, set()), "nobody answered"
    assert "run r1: conversations of acme on north, 2026-01-01..2026-01-10, by alice, STARTED" in text
    assert "Cancel 1 backfill and 1 run, and leave 1 window WITHOUT ROWS?" in text
    _, text = said("--customer", "acme", "--finish")
    assert "Finish 1 emptied window, and cancel 1 backfill?" in text


def test_a_list_of_a_thousand_runs_is_printed_in_full(fake: Fake, said: Said) -> None:
    fake.runs = [run_of(ACME, f"r{n}") for n in range(1000)]
    _, text = said()
    assert text.count(", by alice, ") == 20
    assert "and 980 more runs" in text
    assert "Cancel 1,000 runs?" in text


def test_a_terminal_obeys_what_somebody_tagged_a_run_with(fake: Fake, said: Said) -> None:
    fake.runs = [replace(run_of(ACME), tags={tags.LAUNCHED_BY: "al\x1b[2Jice", **range_tags(DAYS)})]
    _, text = said()
    assert "by al [2Jice, STARTED" in text


def test_runs_that_still_end_are_told_as_cancelled(fake: Fake, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.runs, fake.gone, fake.polls = [run_of(ACME)], [EMPTIED], 5
    code, text = said("--leave-empty", "--yes")
    assert code == 0
    assert fake.runs == [], "it was waited for"
    assert "cancelled; 1 window is WITHOUT ROWS: `backfill status` shows it" in text


def test_a_run_that_does_not_end_is_waited_for_without_end(fake: Fake) -> None:
    fake.runs, fake.polls = [run_of(ACME), run_of(ACME, "r2")], 10**9
    canceller = cancel.Canceller(fake, fake, [OF], POLICY)  # type: ignore[arg-type]
    found = cancel.AtWork((), tuple(fake.runs), (), ())
    left, refused = canceller.wait_over(found, refused={"r2": "it is gone"}, deadline_seconds=0.05)
    assert ([r.run_id for r in left.runs], refused) == (["r1"], {"r2": "it is gone"})


def test_runs_that_were_only_asked_to_end_are_told_as_over(
    fake: Fake, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_over(_: cancel.Canceller, found: cancel.AtWork, **how: object) -> tuple[cancel.AtWork, Mapping[str, str]]:
        return found, {}

    monkeypatch.setattr(cancel.Canceller, "wait_over", not_over)
    fake.runs = [run_of(ACME)]
    code, text = said("--yes")
    assert code == 0
    assert "asked to end: 1 run; `backfill status` says when they are over" in text
    assert "cancelled" not in text


def test_a_finish_says_for_hours_what_it_has_said_and_that_it_left_something_empty(fake: Fake, said: Said) -> None:
    fake.runs, fake.gone = [run_of(ACME), run_of(ACME, "r2")], [EMPTIED]
    waited: list[int] = []

    def rows_come_back_at_last() -> tuple[RunState, ...]:
        waited.append(1)
        if len(waited) > 20:
            fake.runs, fake.gone = [], []
        return tuple(fake.runs)

    fake.unfinished_runs = rows_come_back_at_last  # type: ignore[method-assign]
    code, text = said("--finish", "--yes")
    assert code == 0
    assert text.count("at work") == 1
    assert "cancelled; what was emptied is finished, no window is without rows" in text


def failed(days: Sequence[date] = DAYS.days, **how: object) -> Outcome:
    fields = {"cause": Cause.DEADLOCK, "remedy": Remedy.AGAIN, **how}
    return Outcome(OF, tuple(days), "failed-run", Ended.FAILED, LONG_AGO, **fields)  # type: ignore[arg-type]


def asked(days: Sequence[date] = DAYS.days, request: str = "asked-1", at: datetime = LONG_AGO) -> Outcome:
    return asked_again(OF, days, request, at, job_days=10, by="alice", kept={})


def launched_by_the_sensor(fake: Fake) -> list[str]:
    now = datetime.now(UTC) + timedelta(days=2)
    return [str(r.window) for r in due(fake.failed.values(), POLICY, now, busy=(), most=99)]


@pytest.mark.parametrize("outcome", [asked(), failed()], ids=["asked for", "failed"])
@pytest.mark.parametrize("how", ["--finish", "--leave-empty", "--yes"])
def test_s3_the_sensor_deletes_the_next_window_after_a_cancel_that_found_nothing(
    fake: Fake, said: Said, outcome: Outcome, how: str
) -> None:
    """Nothing runs: the request of a month is ten runs, one after the other."""
    fake.failed = fold({}, [outcome])
    assert launched_by_the_sensor(fake) == [str(DAYS)]
    code, text = said(how, "--yes")
    assert code == 0
    assert "nothing is at work" not in text
    assert f"pending: conversations of acme on north, {DAYS}, " in text
    assert launched_by_the_sensor(fake) == []
    ends = {s.last.ended for s in fake.failed.values()}
    assert ends == {Ended.CANCELLED}


def test_a_cancel_that_nobody_agreed_to_withdraws_what_was_asked_for(fake: Fake, said: Said) -> None:
    fake.failed = fold({}, [asked()])
    code, text = said()
    assert code == 1
    assert "asked for by alice" in text
    assert "Cancel 1 pending window?" in text
    assert launched_by_the_sensor(fake) == [str(DAYS)]


def test_the_retry_begins_while_a_cancel_ends_the_runs(fake: Fake, said: Said) -> None:
    """What waits is withdrawn before any run is asked to end: that makes room for the next."""
    fake.failed, fake.runs = fold({}, [asked(window(11, 20).days)]), [run_of(ACME)]
    waited: list[list[str]] = []

    def terminate(run_ids: Sequence[str]) -> dict[str, str]:
        waited.append(launched_by_the_sensor(fake))
        return Fake.terminate(fake, run_ids)

    fake.terminate = terminate  # type: ignore[method-assign]
    code, text = said("--yes")
    assert (code, waited) == (0, [[]])
    assert "run r1" in text


def test_others_lose_their_requests_by_a_cancel_of_somebody(fake: Fake, said: Said) -> None:
    globex = replace(asked(), of=Of("north", "globex", "conversations"))
    given_up = failed(window(21, 22).days, remedy=Remedy.BY_HAND)
    fake.failed = fold({}, [globex, given_up, replace(asked(), of=OF)])
    said("--customer", "acme", "--yes")
    ends = {(of.customer, day.day): s.last.ended for (of, day), s in fake.failed.items()}
    assert ends["globex", 1] is Ended.ASKED
    assert ends["acme", 1] is Ended.CANCELLED
    assert ends["acme", 21] is Ended.FAILED, "a quarantine waits for a person, not for the sensor"


def test_a_request_is_forgotten_because_an_older_run_is_at_work_on_its_days(fake: Fake, said: Said) -> None:
    """That run's end is not the request's, which the sensor launches as soon as it is over."""
    older, its_own = run_of(ACME), run_of(ACME, "r2")
    its_own = replace(its_own, tags={**its_own.tags, tags.RETRY_OF: "asked-1"})
    fake.failed, fake.runs = fold({}, [asked()]), [older]
    assert "pending: " in said("--yes")[1]
    assert launched_by_the_sensor(fake) == []
    fake.failed, fake.runs, fake.ended = fold({}, [asked()]), [its_own], set()
    assert "pending: " not in said()[1], "it is told once, as the run that it is"


def test_an_emptied_window_loses_its_retry_and_nobody_has_said_so(fake: Fake, said: Said) -> None:
    fake.failed, fake.gone = fold({}, [failed()]), [EMPTIED]
    code, text = said("--yes")
    assert code == 2
    assert "1 window waiting for a retry" in text
    assert "--leave-empty cancels them too" in text
    assert launched_by_the_sensor(fake) == [str(DAYS)]
    code, text = said("--leave-empty", "--yes")
    assert code == 0
    assert "1 window is WITHOUT ROWS: `backfill status` shows it, and how to do it again" in text
    assert launched_by_the_sensor(fake) == []
    assert failed_days(fake, [OF], cancelled=True) == {OF: list(DAYS.days)}  # type: ignore[arg-type]


def test_a_finish_withdraws_the_retry_that_would_bring_the_rows_back(fake: Fake, said: Said) -> None:
    """The emptied window is done by its retry; the other one's is withdrawn at once."""
    fake.failed = fold({}, [failed(), failed(window(21, 22).days)])
    fake.gone = [EMPTIED]
    looks: list[list[str]] = []

    def the_retry_is_done_at_last() -> tuple[RunState, ...]:
        looks.append(launched_by_the_sensor(fake))
        if len(looks) == 5:
            done = Outcome(OF, DAYS.days, "r2", Ended.DONE, datetime.now(UTC), retry_of="failed-run")
            fake.keep(fold(fake.failed, [done]).values())
            fake.gone = []
        return ()

    fake.unfinished_runs = the_retry_is_done_at_last  # type: ignore[method-assign]
    code, text = said("--finish", "--yes")
    assert code == 0
    assert looks[3:5] == [[str(DAYS)], [str(DAYS)]]
    assert f"waits for its retry: conversations of acme on north, {DAYS}" in text
    assert "north is paused by alice since " in text, "no retry would finish anything there"
    assert "cancelled; what was emptied is finished, no window is without rows" in text
    assert launched_by_the_sensor(fake) == []


def test_what_begins_while_a_cancel_is_asked_about_goes_on(
    fake: Fake, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look before the question is minutes old: a run of another customer has begun, and one more while runs end."""
    late = [run_of(GLOBEX, "begun-meanwhile"), run_of(GLOBEX, "begun-at-last")]
    fake.runs = [run_of(ACME)]
    monkeypatch.setattr("typer.confirm", lambda *_, **__: fake.runs.extend(late[:1]) is None)

    def terminate(run_ids: Sequence[str]) -> dict[str, str]:
        if "begun-meanwhile" in run_ids and late[1] not in fake.runs:
            fake.runs.append(late[1])
        return Fake.terminate(fake, run_ids)

    fake.terminate = terminate  # type: ignore[method-assign]
    code, text = said("--leave-empty")
    assert (code, fake.ended, fake.runs) == (0, {"r1", "begun-meanwhile", "begun-at-last"}, [])
    assert "meanwhile run begun-meanwhile: conversations of globex on north" in text
    assert "begun meanwhile, and asked to end too: run begun-at-last" in text


def asked_too_early(fake: Fake, run_ids: Sequence[str]) -> dict[str, str]:
    """As Dagster answers of a run that is not in its queue yet."""
    early = {r.run_id for r in fake.runs if r.run_id in run_ids and r.status == "NOT_STARTED"}
    Fake.terminate(fake, [r for r in run_ids if r not in early])
    return dict.fromkeys(early, "could not be terminated due to having status NOT_STARTED.")


@pytest.mark.parametrize("outcomes", [[asked()], [failed()], []], ids=["asked for", "failed", "of a backfill"])
def test_a_run_that_was_cancelled_as_it_was_launched_deletes_its_days_all_the_same(
    fake: Fake, said: Said, outcomes: Sequence[Outcome]
) -> None:
    """Its days are withdrawn before it can be asked, so that it refuses itself; and it is asked until it can be."""
    run, fake.failed = run_of(ACME, status="NOT_STARTED"), fold({}, outcomes)
    fake.runs = [replace(run, tags={**run.tags, tags.RETRY_OF: o.run_id}) for o in outcomes] or [run]
    ends: list[set[Ended]] = []

    def terminate(run_ids: Sequence[str]) -> dict[str, str]:
        ends.append({s.last.ended for s in fake.failed.values()})
        refused = asked_too_early(fake, run_ids)
        if len(ends) == 2:
            fake.runs = [replace(r, status="QUEUED") for r in fake.runs]
        return refused

    fake.terminate = terminate  # type: ignore[method-assign]
    code, text = said("--yes", "--leave-empty")
    assert (code, fake.ended, len(ends)) == (0, {"r1"}, 3)
    assert "could not be asked" not in text
    assert ends[0] == ({Ended.CANCELLED} if outcomes else set())
    assert all(is_withdrawn(s, o.run_id) for o in outcomes for s in fake.failed.values()), "inspect refuses it"


def test_a_run_that_never_starts_is_asked_to_end_without_end(fake: Fake) -> None:
    fake.runs = [run_of(ACME, status="NOT_STARTED")]
    fake.terminate = lambda ids: asked_too_early(fake, ids)  # type: ignore[method-assign]
    canceller = cancel.Canceller(fake, fake, [OF], POLICY)  # type: ignore[arg-type]
    found = canceller.look()
    left, refused = canceller.wait_over(found, refused=canceller.leave_empty(found), deadline_seconds=0.05)
    assert (left.is_nothing, list(refused)) == (True, ["r1"])


def test_a_run_that_refused_to_end_is_told_as_cancelled(fake: Fake, said: Said) -> None:
    fake.runs = [run_of(ACME), run_of(ACME, "r2")]
    fake.terminate = lambda ids: Fake.terminate(fake, ["r2"]) | {"r1": "its process is away"}  # type: ignore[method-assign]
    code, text = said("--yes")
    assert code == 1
    assert "run r1 could not be asked to end: its process is away" in text
    assert "what could not be asked to end may go on: r1; run this cancel again" in text
    assert "cancelled" not in text


def test_what_a_cancel_withdrew_in_the_ledger_is_due_or_lost(ledger: Ledger) -> None:
    past = Past(ledger)
    past.failed(DAYS)
    canceller = cancel.Canceller(Fake(), ledger, [past.of], POLICY)  # type: ignore[arg-type]
    canceller.leave_empty(canceller.look())
    states = failed_days_of(ledger, past.of, DAYS)
    later = datetime.now(UTC) + timedelta(days=2)
    assert due(states.values(), POLICY, later, busy=(), most=9) == ()
    assert failed_days(ledger, [past.of]) == {}
    assert failed_days(ledger, [past.of], cancelled=True) == {past.of: list(DAYS.days)}
