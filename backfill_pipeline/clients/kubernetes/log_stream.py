"""A pod's log as it is written: read by a thread of its own, gone on with where it broke, nothing lost or twice."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from enum import Enum

from backfill_pipeline.domain.errors import Kind, PipelineError

PAUSE_SECONDS = 1.0
LONGEST_LINE = 64 * 1024  # bytes kept of a line: a task's own have hundreds, one that dumps what it reads has millions
MOST_LINES = 100_000  # that are kept, the newest: who follows looks every few seconds


class Place(Enum):
    """What became of the container whose log is read."""

    WRITES = "writes"
    ENDED = "ended"
    GONE = "gone"


Open = Callable[[str | None], Iterable[bytes]]


class LogStream:
    """Reads from its making on, until all is read or `error` says why no more can be.

    Args:
        open_log: the log's bytes from a time on (RFC 3339, taken to the second), or all of it; each line begins with its
            time. Ends when the container has ended, or when the connection breaks.
        place: whether the container writes still, has ended, or is gone with its log.
    """

    error: PipelineError | None = None

    def __init__(self, open_log: Open, place: Callable[[], Place]) -> None:
        self._open, self._place = open_log, place
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._changing = threading.Lock()
        self._last, self._at_last = "", 0  # the newest time, and how many lines bear it
        self._closed = threading.Event()
        self.ended = threading.Event()
        threading.Thread(target=self._read, name="pod log", daemon=True).start()

    @property
    def lines(self) -> list[str]:
        """What came so far, but for the oldest of very many."""
        with self._changing:
            return list(self._lines)

    def close(self) -> None:
        self._closed.set()

    def _read(self) -> None:
        while not self._closed.is_set() and not self._read_to_its_end():
            self._closed.wait(PAUSE_SECONDS)
        self.ended.set()

    def _read_to_its_end(self) -> bool:
        """False where more may come. Where it is, is asked before it is read: what is written in between is not missed."""
        place = Place.WRITES
        try:
            place = self._place()
            if place is not Place.GONE:
                self._take(_whole_lines(self._open(self._last or None)))
        except Exception as error:  # a connection that broke is opened again for as long as somebody wants the log
            self.error = error if isinstance(error, PipelineError) and error.kind is Kind.STOP else None
            return self.error is not None
        return place is not Place.WRITES

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
            with self._changing:
                self._lines.append(text)
            if self._closed.is_set():
                return


def _whole_lines(parts: Iterable[bytes]) -> Iterator[str]:
    """A line that the connection cut is left out: it comes whole with the next one. What is too long of one is, too."""
    begun = bytearray()
    for part in parts:
        *ends, rest = part.split(b"\n")
        for end in ends:
            begun += end[: LONGEST_LINE - len(begun)]
            yield begun.decode(errors="replace")
            begun.clear()
        begun += rest[: LONGEST_LINE - len(begun)]
