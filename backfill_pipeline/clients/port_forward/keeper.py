"""Keeps one forward open: starts kubectl, watches it, starts it again, ends when nobody holds to it any more."""

import fcntl
import os
import random
import signal
import time
from dataclasses import dataclass, replace

from backfill_pipeline.clients.port_forward.greetings import why_no_answer
from backfill_pipeline.clients.port_forward.kubectl import Kubectl
from backfill_pipeline.clients.port_forward.place import Place, Said


@dataclass(frozen=True)
class Pace:
    """Seconds.

    linger: the next step of a run is another process; it finds the forward still open.
    stable: open for so long, the next failure counts as the first one again.
    misses: probes in a row; a slow answer is no reason to cut the connections of a transfer.
    """

    tick: float = 0.2
    linger: float = 10
    start: float = 30
    probe: float = 10
    between_probes: float = 15
    after_a_miss: float = 2
    misses: int = 3
    first_delay: float = 0.25
    longest_delay: float = 30
    stable: float = 60


def delay_after(failures: int, pace: Pace, jitter: float) -> float:
    """Doubles with each failure in a row. jitter: of -1 to 1; many keepers of one cluster don't come back at once."""
    return float(min(pace.first_delay * 2 ** min(failures - 1, 20), pace.longest_delay) * (1 + 0.25 * jitter))


class Keeper:
    """Runs in the process that has the forward's lock `keeper`, from its start on."""

    def __init__(self, place: Place, pace: Pace) -> None:
        self._place, self._pace, self._order = place, pace, place.order()
        before = place.said()
        self._port = place.claimed_port(before.port if before else None)
        self._said = Said(self._port.number, failures=before.failures if before else 0)
        self._place.say(self._said)
        self._kubectl: Kubectl | None = None
        self._due = self._open_since = self._next_probe = 0.0
        self._misses, self._was_open, self._stop = 0, self._port.is_fixed, False
        self._last_holder = time.monotonic()

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        try:
            while not self._stop:
                if self._is_left_alone():
                    self._place.forget()
                    return
                self._step()
                time.sleep(self._pace.tick)
        finally:
            if self._kubectl:
                self._kubectl.end()

    def _ask_to_stop(self, *_: object) -> None:
        self._stop = True

    def _is_left_alone(self) -> bool:
        """Keeps the lock that it found free at last, so that a holder who comes now waits for the end of this process."""
        lock = self._place.locked("holders", fcntl.LOCK_EX)
        if lock is None:
            self._last_holder = time.monotonic()
            return False
        if time.monotonic() - self._last_holder > self._pace.linger:
            return True
        os.close(lock)
        return False

    def _step(self) -> None:
        if self._kubectl is None:
            if time.monotonic() >= self._due:
                self._start()
        elif self._kubectl.has_ended():
            self._failed(self._kubectl.said() or "kubectl ended without a word")
        elif self._said.open:
            self._watch(self._kubectl)
        elif self._kubectl.listens():
            self._greet(self._kubectl)
        elif time.monotonic() - self._kubectl.started > self._pace.start:
            self._failed(self._kubectl.said() or f"kubectl did not listen within {self._pace.start:g} s")

    def _start(self) -> None:
        command = [part.replace("{port}", str(self._port.number)) for part in self._order.command]
        try:
            self._kubectl = Kubectl(command, self._place.log, self._order.kubeconfig)
        except OSError as error:
            self._failed(f"kubectl could not be started: {error}")

    def _greet(self, kubectl: Kubectl) -> None:
        why = why_no_answer(self._port.number, self._order.greeting, self._pace.probe)
        if why:
            time.sleep(self._pace.tick)  # kubectl writes its reason after it has closed the connection
            self._failed(f"{kubectl.said()}\n{why}".strip())
            return
        self._open_since = time.monotonic()
        self._next_probe, self._misses, self._was_open = self._open_since + self._pace.between_probes, 0, True
        self._said = replace(self._said, open=True, failure="")
        self._place.say(self._said)

    def _watch(self, kubectl: Kubectl) -> None:
        if time.monotonic() < self._next_probe:
            return
        why = why_no_answer(self._port.number, self._order.greeting, self._pace.probe)
        self._misses = self._misses + 1 if why else 0
        self._next_probe = time.monotonic() + (self._pace.after_a_miss if why else self._pace.between_probes)
        kubectl.trim_log()
        if self._misses >= self._pace.misses:
            self._failed(f"{kubectl.said()}\n{why}, {self._misses} times in a row".strip())

    def _failed(self, why: str) -> None:
        if self._kubectl:
            self._kubectl.end()
            self._kubectl = None
        held = self._said.open and time.monotonic() - self._open_since > self._pace.stable
        failures = 1 if held else self._said.failures + 1
        if not self._was_open:
            self._move_if_taken(why)
        self._said = Said(self._port.number, failure=why, failures=failures)
        self._place.say(self._said)
        self._due = time.monotonic() + delay_after(failures, self._pace, random.uniform(-1, 1))

    def _move_if_taken(self, why: str) -> None:
        """Nobody has been told the port yet."""
        if "unable to listen" in why.lower():
            os.close(self._port.lock)
            self._port = self._place.claimed_port(None)
