"""A pod's log as it is written: read by a thread of its own, gone on with where it broke, nothing lost or twice."""

import threading
from collections.abc import Callable, Iterable, Iterator

PAUSE_SECONDS = 1.0
Open = Callable[[str | None], Iterable[bytes]]


class LogStream:
    """Reads from its making on.

    Args:
        open_log: the log's bytes from a time on (RFC 3339, taken to the second), or all of it; each line begins with its
            time. Ends when the container has ended, or when the connection breaks.
        has_ended: whether the container has ended, so that an end of the log is its end.
    """

    def __init__(self, open_log: Open, has_ended: Callable[[], bool]) -> None:
        self._open, self._has_ended = open_log, has_ended
        self._lines: list[str] = []
        self._last, self._at_last = "", 0  # the newest time, and how many lines bear it
        self._closed = threading.Event()
        self.ended = threading.Event()
        threading.Thread(target=self._read, name="pod log", daemon=True).start()

    @property
    def lines(self) -> list[str]:
        """What came so far."""
        return list(self._lines)

    def close(self) -> None:
        self._closed.set()

    def _read(self) -> None:
        while not self._closed.is_set():
            was_over = self._asked()
            try:
                self._take(_whole_lines(self._open(self._last or None)))
            except Exception:  # whatever broke the connection, it is tried again for as long as somebody wants the log
                was_over = False
            if was_over:
                break
            self._closed.wait(PAUSE_SECONDS)
        self.ended.set()

    def _asked(self) -> bool:
        """Asked before the log is read: what is written in between is then not missed."""
        try:
            return self._has_ended()
        except Exception:
            return False

    def _take(self, lines: Iterator[str]) -> None:
        seen, known = self._last, self._at_last
        for line in lines:
            time, _, text = line.partition(" ")
            if time < seen:
                continue
            if time == seen and known:
                known -= 1
                continue
            self._at_last = self._at_last + 1 if time == self._last else 1
            self._last = time
            self._lines.append(text)
            if self._closed.is_set():
                return


def _whole_lines(parts: Iterable[bytes]) -> Iterator[str]:
    """A line that the connection cut is left out: it comes whole with the next one."""
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
