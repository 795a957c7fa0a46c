"""The supervising thread on real, tiny processes."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from backfill_pipeline.stack.probes import Finishes, Probe, Says
from backfill_pipeline.stack.processes import Process, marked_with
from backfill_pipeline.stack.state import ProcessId
from backfill_pipeline.stack.watch import LONGEST_DELAY_SECONDS, StartFailed, Watch
from backfill_pipeline_tests.stack.foreground import until

SERVE = "import time; print('ready', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SERVE
READY = Says("ready")


@dataclass
class Run:
    watch: Watch
    said: list[str] = field(default_factory=list)
    pids: dict[str, int] = field(default_factory=dict)


def python(name: str, code: str, folder: Path, ready: Probe = READY, **more: object) -> Process:
    command = (sys.executable, "-c", code)
    return Process(name=name, command=command, log=folder / f"{name}.log", ready=ready, **more)  # type: ignore[arg-type]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts a plan; whatever a test leaves running is ended."""
    runs: list[Run] = []

    def start(*plan: Process) -> Run:
        run = Run(
            Watch(plan, f"test-{os.getpid()}-{tmp_path}", lambda line: run.said.append(line), lambda p, r: note(p))
        )

        def note(processes: dict[str, ProcessId]) -> None:
            run.pids = {name: p.pid for name, p in processes.items()}

        runs.append(run)
        run.watch.start()
        return run

    yield start
    for run in runs:
        run.watch.stop()
        assert run.watch.ended.wait(30)


def started(run: Run) -> Run:
    assert run.watch.started.wait(20), run.watch.failure
    return run


def failure(run: Run) -> BaseException:
    assert run.watch.ended.wait(20)
    assert run.watch.failure is not None
    return run.watch.failure


def test_a_start_that_fails_half_way_leaves_no_process(running: Callable[..., Run], tmp_path: Path) -> None:
    fails = python("worker", "print('no such table: chats'); raise SystemExit(3)", tmp_path, after=("database",))
    run = running(python("database", SERVE, tmp_path), fails)
    assert isinstance(failure(run), StartFailed)
    assert marked_with(run.watch.stack_id) == []


def test_an_operator_is_told_which_process_failed_with_its_last_lines(
    running: Callable[..., Run], tmp_path: Path
) -> None:
    message = str(failure(running(python("worker", "print('no such table: chats'); raise SystemExit(3)", tmp_path))))
    for said in ("worker", "exit code 3", "no such table: chats", "worker.log", "Next:"):
        assert said in message


def test_a_process_that_never_answers_does_not_hang_the_start(running: Callable[..., Run], tmp_path: Path) -> None:
    silent = python("worker", "import time; time.sleep(600)", tmp_path, ready_seconds=0.5)
    assert "not ready after 0.5 s: its log says 'ready' is not so" in str(failure(running(silent)))


def test_a_program_that_is_not_there_is_named(running: Callable[..., Run], tmp_path: Path) -> None:
    missing = Process("temporal", ("/nowhere/temporal",), tmp_path / "temporal.log")
    assert "/nowhere/temporal" in str(failure(running(missing)))


def test_a_part_never_starts_before_what_it_stands_on_is_ready(running: Callable[..., Run], tmp_path: Path) -> None:
    slow = python("database", f"import time; time.sleep(0.5); {SERVE}", tmp_path)
    run = started(running(python("worker", SERVE, tmp_path, after=("database",)), slow))
    assert [line.split(":")[0] for line in run.said] == ["database", "worker"]


def test_a_part_that_was_killed_comes_back_and_its_operator_is_told(
    running: Callable[..., Run], tmp_path: Path
) -> None:
    run = started(running(python("gateway", SERVE, tmp_path)))
    killed = run.pids["gateway"]
    os.kill(killed, signal.SIGKILL)
    until(lambda: run.pids.get("gateway", killed) != killed, "a new gateway")
    assert any("killed by signal 9; starts again in 0.5 s" in line for line in run.said)


def test_a_part_that_dies_at_once_is_not_started_in_a_tight_loop(running: Callable[..., Run], tmp_path: Path) -> None:
    once = tmp_path / "ran"
    dies = f"import pathlib; p = pathlib.Path({str(once)!r}); p.exists() and exit(1); p.touch(); {SERVE}"
    run = started(running(python("gateway", dies, tmp_path)))
    os.kill(run.pids["gateway"], signal.SIGKILL)
    until(lambda: len([s for s in run.said if "starts again" in s]) >= 3, "three deaths")
    delays = [line.split("starts again in ")[1].split(" s")[0] for line in run.said if "starts again" in line]
    assert delays[:3] == ["0.5", "1", "2"]
    assert LONGEST_DELAY_SECONDS == 30


def test_what_a_killed_part_had_started_does_not_live_on_beside_its_successor(
    running: Callable[..., Run], tmp_path: Path
) -> None:
    """Dagster's trap 12: a run of a code server that is gone must be gone too, before it is called dead."""
    with_child = f"import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True); {SERVE}"
    run = started(running(python("code-server", with_child, tmp_path)))
    grandchild = psutil.Process(int((tmp_path / "code-server.log").read_text().split()[0]))
    os.kill(run.pids["code-server"], signal.SIGKILL)
    until(lambda: any("starts again" in line for line in run.said), "its restart")
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_trap_12_dead_runs_are_looked_for_again_before_the_code_server_takes_new_ones(
    running: Callable[..., Run], tmp_path: Path
) -> None:
    prepare = python("prepare", "print('done')", tmp_path, ready=Finishes(), due_when_lost=("code-server",))
    run = started(running(prepare, python("code-server", SERVE, tmp_path, after=("prepare",))))
    os.kill(run.pids["code-server"], signal.SIGKILL)
    until(lambda: len(run.said) == 5, "its restart")
    assert [line.split(" ")[0] for line in run.said[2:]] == ["code-server:", "prepare:", "code-server:"]


def test_a_process_that_ignores_sigterm_does_not_hang_the_stop(running: Callable[..., Run], tmp_path: Path) -> None:
    run = started(running(python("gateway", STUBBORN, tmp_path, stop_seconds=0.5)))
    run.watch.stop()
    assert run.watch.ended.wait(5)
    assert marked_with(run.watch.stack_id) == []


def test_a_database_is_never_stopped_under_those_who_still_write(running: Callable[..., Run], tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    tells = (
        "import signal, sys, pathlib, time\n"
        "def end(*_):\n    open({journal!r}, 'a').write({name!r} + ' ')\n    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\nprint('ready', flush=True)\ntime.sleep(600)"
    )
    plan = [
        python(name, tells.format(journal=str(journal), name=name), tmp_path, after=after)
        for name, after in (("database", ()), ("worker", ("tables",)), ("daemon", ("worker",)))
    ]
    step_between = python("tables", "", tmp_path, ready=Finishes(), after=("database",))
    run = started(running(*plan, step_between))
    run.watch.stop()
    assert run.watch.ended.wait(10)
    assert journal.read_text().split() == ["daemon", "worker", "database"]


def test_children_do_not_outlive_the_thread_that_watches_them(tmp_path: Path) -> None:
    """PR_SET_PDEATHSIG: even a supervisor that is gone without a word leaves nothing (Linux)."""
    if sys.platform != "linux":
        pytest.skip("elsewhere the next start ends what was left")
    from backfill_pipeline.stack.processes import Child

    children: list[Child] = []
    starter = threading.Thread(
        target=lambda: children.append(Child(python("gateway", SERVE, tmp_path), "test-of-a-thread"))
    )
    starter.start()
    starter.join()
    until(lambda: children[0].exit_code() is not None, "its end", seconds=5)
