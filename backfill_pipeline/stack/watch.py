"""The one thread that starts, watches, restarts and ends the processes: it alone holds them, so there are no locks."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.stack.processes import Child, Process, end, tail
from backfill_pipeline.stack.state import ProcessId

TICK_SECONDS = 0.05
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
HEALTHY_SECONDS = 60.0  # alive for this long: earlier deaths no longer count

Say = Callable[[str], None]
Changed = Callable[[dict[str, ProcessId], dict[str, int]], None]


class StartFailed(PipelineError):
    """A part of the stack did not become ready; all that was started has been ended."""


@dataclass
class Slot:
    """A process and what became of it so far."""

    process: Process
    child: Child | None = None
    ready: bool = False
    ever_ready: bool = False
    not_before: float = 0.0
    deaths: int = 0  # in a row, each after less than HEALTHY_SECONDS
    restarts: int = 0


@dataclass
class Watch:
    """Runs `plan` until `stop` is asked for.

    say: told what happens, a line each.
    changed: told the living processes and the restarts of each part, whenever they change.
    """

    plan: Sequence[Process]
    stack_id: str
    say: Say
    changed: Changed
    started: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None

    def __post_init__(self) -> None:
        self._asked_to_stop = threading.Event()
        self._slots = {p.name: Slot(p) for p in self.plan}
        # Children ask the kernel to end them with the thread that starts them: this one, which lives until all ended.
        self._thread = threading.Thread(target=self._run, name="stack", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._asked_to_stop.set()

    def _run(self) -> None:
        try:
            while not self._asked_to_stop.wait(TICK_SECONDS):
                self._tick()
        except BaseException as error:  # whatever it was, the children must be ended, and the caller told
            self.failure = error
        finally:
            self._end_all_and_say_so()

    def _tick(self) -> None:
        for slot in self._slots.values():
            self._attend(slot)
        if not self.started.is_set() and all(s.ready for s in self._slots.values()):
            self.started.set()

    def _attend(self, slot: Slot) -> None:
        if slot.child is None:
            if self._may_start(slot):
                self._spawn(slot)
        elif slot.child.exit_code() is not None:
            self._exited(slot, slot.child)
        elif not slot.ready:
            self._ask_if_ready(slot, slot.child)

    def _may_start(self, slot: Slot) -> bool:
        return time.monotonic() >= slot.not_before and all(self._slots[name].ready for name in slot.process.after)

    def _spawn(self, slot: Slot) -> None:
        try:
            slot.child = Child(slot.process, self.stack_id)
        except OSError as error:
            raise _failed(slot.process, f"it could not be started: {error}") from None
        self._report()

    def _exited(self, slot: Slot, child: Child) -> None:
        if slot.process.runs_once and child.exit_code() == 0:
            if not slot.ready:
                self._is_ready(slot, child)
        else:
            self._lost(slot, child, _ending(child.exit_code()))

    def _ask_if_ready(self, slot: Slot, child: Child) -> None:
        if slot.process.ready.passed(child):
            self._is_ready(slot, child)
        elif child.seconds_alive() > slot.process.ready_seconds:
            self._lost(slot, child, f"not ready after {slot.process.ready_seconds:g} s: {slot.process.ready} is not so")

    def _is_ready(self, slot: Slot, child: Child) -> None:
        slot.ready = slot.ever_ready = True
        done = "done" if slot.process.runs_once else "ready"
        self.say(f"{slot.process.name}: {done} after {child.seconds_alive():.1f} s")
        self._report()

    def _lost(self, slot: Slot, child: Child, why: str) -> None:
        """Ends what it left behind, then: fails a first start, or sets the time of the next try."""
        end([child])
        if not slot.ever_ready:
            raise _failed(slot.process, why)
        slot.deaths = 1 if child.seconds_alive() > HEALTHY_SECONDS else slot.deaths + 1
        delay = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** (slot.deaths - 1))
        slot.child, slot.ready, slot.not_before = None, False, time.monotonic() + delay
        slot.restarts += 1
        self.say(f"{slot.process.name}: {why}; starts again in {delay:g} s; its log: {slot.process.log}")
        self._report()
        self._make_steps_due(slot.process.name)

    def _make_steps_due(self, lost: str) -> None:
        for slot in self._slots.values():
            if lost in slot.process.due_when_lost:
                slot.child, slot.ready = None, False

    def _end_all_and_say_so(self) -> None:
        try:
            self._end_all()
        except BaseException as error:
            self.failure = self.failure or error
        finally:
            self.ended.set()

    def _end_all(self) -> None:
        """Those that nobody needs any more first: a layer ends together, then what it stood on."""
        alive = {name: s.child for name, s in self._slots.items() if s.child and not s.child.group_is_gone()}
        while alive:
            needed = {name for user in alive for name in self._stands_on(user)}
            layer = [name for name in alive if name not in needed]
            end([alive.pop(name) for name in layer])
        self.changed({}, self._restarts())

    def _stands_on(self, name: str) -> set[str]:
        """Through steps that are long done, too: the database under the `databases` that a worker waited for."""
        direct = set(self._slots[name].process.after)
        return direct.union(*(self._stands_on(other) for other in direct))

    def _report(self) -> None:
        children = {n: s.child.id for n, s in self._slots.items() if s.child and s.child.exit_code() is None}
        self.changed(children, self._restarts())

    def _restarts(self) -> dict[str, int]:
        return {name: slot.restarts for name, slot in self._slots.items() if slot.restarts}


def _ending(code: int | None) -> str:
    return f"killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"


def _failed(process: Process, why: str) -> StartFailed:
    return StartFailed(
        f"The stack did not start: {process.name} is not ready",
        where=f"{process.name}, log {process.log}",
        why=f"{why}; the log's last lines:\n{tail(process.log)}\n",
        next_step="correct what these lines name and start again; everything that was started has been ended",
        kind=Kind.STOP,
    )
