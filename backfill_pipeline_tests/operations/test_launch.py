"""`backfill launch` with a Dagster made by hand and the real ledger: a dry run is what the launch does."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest

from backfill_pipeline import cli
from backfill_pipeline.cli import site
from backfill_pipeline.clients.dagster import BackfillState, RunState, Unfinished
from backfill_pipeline.defs import tags
from backfill_pipeline.defs.ended_runs import WITHOUT_A_WORD
from backfill_pipeline.defs.partitions import range_tags
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.retries import Ended, Of
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.operations import wait
from backfill_pipeline.operations.launch import How, launch
from backfill_pipeline.operations.survey import survey
from backfill_pipeline.stores.failed_days import failed_days_of
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.pauses import end_pause, write_pause
from backfill_pipeline_tests.live import Live
from backfill_pipeline_tests.operations.past import Past, config_of, window

ALL_DAYS = window(1, 31)
MONTH = ("--start-time", "2026-01-01", "--end-time", "2026-01-31")
REPORTS = [
    {},
    {"g": "STARTED"},
    {"g": "STARTED"},
    {"g": "SUCCESS", "a": "QUEUED", "b": "QUEUED"},
    *[{"g": "SUCCESS", "a": "STARTED", "b": "QUEUED"}] * 50,
    {"g": "SUCCESS", "a": "SUCCESS", "b": "CANCELING"},
    {"g": "SUCCESS", "a": "SUCCESS", "b": "FAILURE"},
]
PAUSED = "nothing starts until `backfill resume north`"
Said = Callable[..., tuple[int, str]]


@dataclass
class Idle:
    """A Dagster in which nothing waits or works but `begun`. launched: asset -> its windows.

    own: what each asset of an unfinished backfill is to do; ended: that backfill's runs that are over.
    away_at: the launch, counted from one, that nobody answers.
    """

    launched: dict[Sequence[str], Sequence[Window]] = field(default_factory=dict)
    reports: list[dict[str, str]] = field(default_factory=list)
    bad: tuple[RunState, ...] = ()
    begun: list[RunState] = field(default_factory=list)
    backfills: list[Unfinished] = field(default_factory=list)
    own: dict[tuple[str, ...], frozenset[date] | None] = field(default_factory=dict)
    ended: tuple[RunState, ...] = ()
    away_at: int | None = None
    refusal: Kind = Kind.UNREACHABLE
    titles: list[str] = field(default_factory=list)

    def unfinished_runs(self) -> tuple[RunState, ...]:
        return tuple(self.begun)

    def unfinished_backfills(self) -> tuple[Unfinished, ...]:
        return tuple(self.backfills)

    def targeted(self, _: str, keys: Iterable[tuple[str, ...]]) -> Mapping[tuple[str, ...], frozenset[date] | None]:
        return {k: self.own[k] for k in keys}

    def ended_runs(self, _: str) -> tuple[RunState, ...]:
        return self.ended

    def launch_days(self, days: Mapping[Sequence[str], Sequence[Window]], *, title: str, **_: object) -> str:
        self.titles.append(title.split(":")[0])
        if len(self.titles) == self.away_at:
            raise PipelineError("It failed", where="Dagster", why="timed out", next_step="look", kind=self.refusal)
        self.launched = dict(days)
        return f"b{len(self.titles)}"

    def backfill(self, backfill_id: str) -> BackfillState:
        """One report after the other; the last is the end."""
        runs = self.reports.pop(0)
        return BackfillState(backfill_id, "REQUESTED" if self.reports else "COMPLETED", "", runs)

    def bad_runs(self, backfill_id: str) -> tuple[RunState, ...]:
        assert backfill_id == "b1"
        return self.bad


@pytest.fixture(scope="module", autouse=True)
def data(engines: Live) -> None:
    engines.make_data(size=0.02, days=3)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> Idle:
    idle = Idle()
    monkeypatch.setattr(site, "dagster_client", lambda _: idle)
    return idle


@pytest.fixture
def past(engines: Live, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Past:
    """A customer of north, the only one."""
    past = Past(ledger)
    config = config_of(engines.config, (past.cluster, past.customer))
    monkeypatch.setattr(site, "site_of", lambda *_: site.Site(config, "http://dagster"))
    return past


@pytest.fixture
def paused(ledger: Ledger) -> Iterator[None]:
    write_pause(ledger, "north", why="its disk is being changed", by_whom="alice")
    yield
    end_pause(ledger, "north")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Exit code and output of a command."""

    def ran(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["backfill", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), "".join(capsys.readouterr())

    return ran


def test_a_dry_run_shows_days_that_the_launch_leaves_out(past: Past, idle: Idle, said: Said) -> None:
    past.recorded(window(1, 4))
    past.recorded(window(9, 9))
    code, shown = said("launch", *MONTH, "--dry-run")
    assert (code, idle.launched) == (0, {})
    code, launched = said("launch", *MONTH, "--yes")
    assert code == 0
    left = [w for w in launched.splitlines() if w.startswith(("done: ", "26 days of 1 asset on north"))]
    assert len(left) == 2
    assert [line for line in shown.splitlines() if line in left] == left
    windows = idle.launched["conversations", "north", past.customer]
    assert list(windows) == [window(5, 8), window(10, 31)]
    runs = [str(run) for w in windows for run in w.split(10)]
    assert [run for run in runs if f"conversations {run}" not in shown] == []
    assert "2026-01-01..2026-01-10" not in shown, "as if nothing were done"


def test_a_dry_run_of_days_that_are_all_done_plans_them(past: Past, idle: Idle, said: Said) -> None:
    past.recorded(window(1, 31))
    code, shown = said("launch", *MONTH, "--dry-run")
    assert code == 0
    assert "nothing is left to launch" in shown
    assert "Plan of" not in shown
    _, shown = said("launch", *MONTH, "--dry-run", "--again")
    assert "done again" in shown
    assert "Plan of" in shown


@pytest.mark.usefixtures("paused", "past", "idle")
@pytest.mark.parametrize("how", [("launch", "--dry-run"), ("launch", "--yes"), ("plan",), ("plan", "--statements")])
def test_nobody_says_why_nothing_will_start(how: tuple[str, ...], said: Said) -> None:
    command, *options = how
    code, text = said(command, *MONTH, *options)
    assert code == 0
    text = " ".join(text.split())
    assert "north is paused by alice since " in text
    assert f"its disk is being changed; {PAUSED}" in text
    assert text.count(PAUSED) == 1


def bad(customer: str, run_id: str, **told: str) -> RunState:
    key = frozenset([("conversations", "north", customer)])
    return RunState(run_id, told.pop("status", "FAILURE"), key, {**range_tags(window(1, 3)), **told}, 0.0)


def test_a_wait_of_hours_tells_nothing_or_the_same_again_and_ends_in_a_python_dict(
    past: Past, idle: Idle, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "POLL_SECONDS", 0.001)
    why = {tags.SAID_BY: "b", tags.CAUSE: "no_room", tags.EVIDENCE: "0/3 nodes\nhave room"}
    inherited = {tags.SAID_BY: "another", tags.CAUSE: "no_room", tags.EVIDENCE: "of the run that it repeats"}
    idle.reports = list(REPORTS)
    idle.bad = (bad("acme", "b", **why), bad("acme", "c", **inherited), bad("acme", "d", status="CANCELED"))
    code, text = said("launch", *MONTH, "--yes", "--wait")
    assert code == 1
    assert [line for line in text.splitlines() if line.startswith("north: ")][1:] == [
        "north: no runs yet",
        "north: runs 1 running",
        "north: runs 2 queued, 1 done",
        "north: runs 1 queued, 1 running, 1 done",
        "north: runs 1 running, 2 done",
        "north: runs 2 done, 1 failed",
    ]
    who = "conversations of acme on north, 2026-01-01..2026-01-03"
    assert f"failed: {who}, run b: no_room: 0/3 nodes have room\n" in text
    assert f"failed: {who}, run c: unknown: {WITHOUT_A_WORD}\n" in text
    assert f"cancelled: {who}, run d\n" in text
    assert text.endswith("`backfill status` says what becomes of them\n")
    assert "{" not in text


def test_a_wait_for_what_ended_well_says_that_something_is_left(past: Past, idle: Idle, said: Said) -> None:
    idle.reports = [{"g": "SUCCESS", "a": "SUCCESS"}]
    code, text = said("launch", *MONTH, "--yes", "--wait")
    assert code == 0
    assert text.endswith("north: runs 2 done\nbackfill b1: COMPLETED\n")


def at_work_on(customer: str, days: Window, run_id: str = "r1", status: str = "STARTED") -> RunState:
    key = frozenset([("conversations", "north", customer)])
    return RunState(run_id, status, key, range_tags(days), 0.0)


def asset(customer: str) -> tuple[str, str, str]:
    return ("conversations", "north", customer)


def backfill_with(idle: Idle, own: Mapping[str, frozenset[date] | None]) -> None:
    """b1, whose gate has the days of all of its customers."""
    idle.own = {asset(c): days for c, days in own.items()}
    every = frozenset(window(1, 31).days)
    idle.backfills = [Unfinished("b1", "north", 0.0, frozenset([("ready", "north"), *idle.own]), every)]


def free(idle: Idle, past: Past, days: Window = ALL_DAYS) -> list[date]:
    found = survey(idle, past.ledger, {past.of: days.days})  # type: ignore[arg-type]
    return list(found.free(again=True).get(past.of, ()))


def test_days_that_a_backfill_has_of_another_customer_count_as_at_work(past: Past, idle: Idle) -> None:
    backfill_with(idle, {"acme": frozenset(window(1, 31).days), past.customer: frozenset(window(15, 15).days)})
    assert free(idle, past, window(14, 16)) == [date(2026, 1, 14), date(2026, 1, 16)]


def test_a_customer_waits_for_the_slowest_of_86_whose_backfill_is_shared(past: Past, idle: Idle) -> None:
    """Its own run of 1 to 10 is over; 11 to 20 is at work, and the rest has no run yet."""
    backfill_with(idle, {"acme": frozenset(window(1, 31).days), past.customer: frozenset(window(1, 31).days)})
    over, other = (at_work_on(c, window(1, 10), f"of {c}", "SUCCESS") for c in (past.customer, "acme"))
    idle.ended, idle.begun = (other,), [at_work_on(past.customer, window(11, 20))]
    assert free(idle, past) == [], "another customer's run is not its own"
    idle.ended = (over, other)
    assert free(idle, past) == list(window(1, 10).days)


def test_d16_days_of_a_backfill_that_dagster_can_not_tell_are_launched_again(past: Past, idle: Idle) -> None:
    backfill_with(idle, {past.customer: None})
    assert free(idle, past) == []


def test_d16_days_whose_lease_has_outlived_its_run_are_launched_again(past: Past, idle: Idle) -> None:
    attempt = past.running(window(3, 4))
    found = survey(idle, past.ledger, {past.of: window(3, 5).days})  # type: ignore[arg-type]
    assert set(found.at_work.values()) == {f"run {attempt.run_id} (it holds the lease)"}
    assert found.free(again=True) == {past.of: [date(2026, 1, 5)]}


EIGHT = ["east", "far", "gulf", "hill", "isle", "lake", "north", "west"]
EVERYWHERE = {Of(c, "acme", "labels"): window(1, 2).days for c in EIGHT}


@pytest.mark.parametrize(
    ("kind", "told", "seen"),
    [
        (Kind.UNREACHABLE, "not sure: gulf; not launched: hill, isle, lake, north, west", Kind.UNREACHABLE),
        (Kind.STOP, "not launched: gulf, hill, isle, lake, north, west", Kind.UNKNOWN),
    ],
)
def test_a_launch_that_fails_half_way_hides_what_it_launched(idle: Idle, kind: Kind, told: str, seen: Kind) -> None:
    idle.away_at, idle.refusal = 3, kind
    lines: list[str] = []
    with pytest.raises(PipelineError, match="The launch on gulf failed") as error:
        launch(idle, EVERYWHERE, How("alice"), lambda c, b: lines.append(f"{c} {b}"))  # type: ignore[arg-type]
    assert lines == ["east b1", "far b2"], "told as they were launched"
    assert f"timed out; launched: east (backfill b1), far (backfill b2); {told}" in error.value.why
    assert "it leaves out what is at work by then" in error.value.next_step
    assert error.value.kind is seen, "2 would say that nothing was touched"
    assert idle.titles == ["east", "far", "gulf"]


def test_a_launch_of_which_nobody_answers_is_told_as_not_made(past: Past, idle: Idle, said: Said) -> None:
    idle.away_at = 1
    code, text = said("launch", *MONTH, "--yes")
    assert code == 1
    assert "launched: none; not sure: north" in text


def test_a_wait_is_over_at_once_as_somebody_else_is_at_work_on_all_of_it(past: Past, idle: Idle, said: Said) -> None:
    idle.begun = [at_work_on(past.customer, window(1, 31))]
    code, text = said("launch", *MONTH, "--yes", "--wait")
    assert code == 1
    assert "not waited for: 31 days that somebody else is at work on" in text
    assert said("launch", *MONTH, "--yes")[0] == 0
    assert said("launch", *MONTH, "--dry-run", "--wait")[0] == 0
    past.recorded(window(1, 31))
    idle.begun = []
    assert said("launch", *MONTH, "--yes", "--wait")[0] == 0, "it is all done"


def answered(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None]) -> None:
    """Yes, after this has happened."""

    def confirm(*_: object, **__: object) -> bool:
        meanwhile()
        return True

    monkeypatch.setattr("typer.confirm", confirm)


def test_d16_days_that_somebody_took_while_the_question_stood_are_launched_twice(
    past: Past, idle: Idle, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(monkeypatch, lambda: idle.begun.append(at_work_on(past.customer, window(1, 10))))
    code, text = said("launch", *MONTH)
    assert code == 0
    assert f"meanwhile at work: conversations of {past.customer} on north: run r1 (STARTED)" in text
    assert list(idle.launched[asset(past.customer)]) == [window(11, 31)]
    idle.launched = {}
    idle.begun = []
    answered(monkeypatch, lambda: idle.begun.append(at_work_on(past.customer, window(1, 31))))
    code, text = said("launch", *MONTH, "--wait")
    assert (code, idle.launched) == (1, {})
    assert "nothing is left to launch" in text
    assert "not waited for: 31 days" in text


def test_a_launch_adds_days_that_became_free_while_the_question_stood(
    past: Past, idle: Idle, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has agreed to these."""
    idle.begun = [at_work_on(past.customer, window(1, 10))]
    answered(monkeypatch, idle.begun.clear)
    assert "meanwhile" not in said("launch", *MONTH)[1]
    assert list(idle.launched[asset(past.customer)]) == [window(11, 31)]


def ends(past: Past) -> dict[int, Ended]:
    return {d.day: s.last.ended for d, s in failed_days_of(past.ledger, past.of, window(1, 31)).items()}


def test_a_retry_deletes_what_a_run_is_mending_or_has_mended(past: Past, idle: Idle, said: Said) -> None:
    """That run's success would count as older than the request, and the good day be deleted again."""
    past.failed(window(1, 6), at=datetime.now(UTC) - timedelta(hours=1))
    past.recorded(window(1, 2))
    idle.begun = [at_work_on(past.customer, window(3, 3))]
    lease = past.running(window(4, 4))
    backfill_with(idle, {past.customer: frozenset(window(5, 5).days)})
    code, text = said("retry", past.customer, "--yes")
    assert code == 0
    who = f"conversations of {past.customer} on north"
    for by in ("run r1 (STARTED)", f"run {lease.run_id} (it holds the lease)", "backfill b1"):
        assert f"at work: {who}: {by}" in text
    assert f"done: {who}: 2 days" in text
    assert "left out; `backfill reset` does it all the same" in text
    assert ends(past) == {**dict.fromkeys(range(1, 6), Ended.FAILED), 6: Ended.ASKED}


def test_a_retry_of_days_that_somebody_has_says_that_none_failed(past: Past, idle: Idle, said: Said) -> None:
    past.failed(window(1, 2))
    idle.begun = [at_work_on(past.customer, window(1, 2))]
    code, text = said("retry", past.customer, "--yes")
    assert code == 0
    assert "nothing is left to do again" in text
    assert "no such day has failed" not in text


def test_a_retry_takes_days_that_its_retry_began_while_the_question_stood(
    past: Past, idle: Idle, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    past.failed(window(1, 2))
    answered(monkeypatch, lambda: idle.begun.append(at_work_on(past.customer, window(1, 1))))
    code, text = said("retry", past.customer)
    assert code == 0
    assert f"meanwhile at work: conversations of {past.customer} on north: run r1 (STARTED)" in text
    assert ends(past) == {1: Ended.FAILED, 2: Ended.ASKED}


@pytest.mark.usefixtures("paused", "idle")
@pytest.mark.parametrize("command", ["retry", "reset"])
def test_nobody_says_why_what_is_asked_for_does_not_begin(past: Past, said: Said, command: str) -> None:
    past.failed(window(1, 2))
    code, text = said(command, past.customer, "2026-01-01", "--yes")
    assert code == 0
    assert "north is paused by alice since " in text
    assert f"its disk is being changed; {PAUSED}" in text
    assert "a window per customer at a time; on north once that is resumed" in text
