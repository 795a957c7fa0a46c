"""A pod's log that can't be read: what passes is tried again, what does not is told."""

import threading
import time
from collections.abc import Callable, Iterable

import pytest

from backfill_pipeline.clients.kubernetes.log_stream import LONGEST_LINE, LogStream, Place
from backfill_pipeline.domain.errors import Kind, PipelineError

LINE = b"2026-01-01T00:00:00.000000Z at work\n"


TIME = b"2026-01-01T00:00:00.000000Z "


def failure(kind: Kind) -> PipelineError:
    return PipelineError("It was not read", where="here", why="so it is", next_step="ask", kind=kind)


def stream_after(*failures: Exception) -> tuple[LogStream, Callable[[], int]]:
    """One that fails so often, and then gives a line; and how often it was opened."""
    left, opened = list(failures), threading.Semaphore(0)

    def open_log(_: str | None) -> Iterable[bytes]:
        opened.release()
        if left:
            raise left.pop(0)
        yield LINE

    return LogStream(open_log, lambda: Place.ENDED), lambda: opened._value


def test_a_log_that_may_not_be_read_is_not_asked_for_again_and_again() -> None:
    """Else every look at a Job that is over waits for its last lines, in vain."""
    refused = failure(Kind.STOP)
    stream, opened = stream_after(refused)
    assert stream.ended.wait(5)
    assert (stream.error, stream.lines, opened()) == (refused, [], 1)


@pytest.mark.parametrize("passing", [failure(Kind.UNREACHABLE), failure(Kind.RETRY), ConnectionResetError()])
def test_a_log_whose_connection_broke_is_not_given_up(passing: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill_pipeline.clients.kubernetes.log_stream.PAUSE_SECONDS", 0.01)
    stream, opened = stream_after(passing, passing)
    assert stream.ended.wait(5)
    assert (stream.error, stream.lines, opened()) == (None, ["at work"], 3)


def read(*parts: bytes, seconds: float = 10) -> list[str]:
    stream = LogStream(lambda _: iter(parts), lambda: Place.ENDED)
    assert stream.ended.wait(seconds)
    return stream.lines


def test_a_long_line_keeps_those_behind_it_waiting_for_longer_than_its_length() -> None:
    """60 MB of it, in the parts that a kubelet sends."""
    started = time.monotonic()
    long, *others = read(TIME, *[b"x" * 4096] * 15_000, b"\n" + TIME + b"behind\n")
    assert time.monotonic() - started < 3
    assert others == ["behind"]
    assert len(TIME) + len(long) == LONGEST_LINE


def test_a_line_is_cut_or_doubled_where_its_parts_meet() -> None:
    whole = b"".join(TIME + b"line %d\n" % n for n in range(50))
    for size in (1, 7, 64, len(whole)):
        assert read(*(whole[i : i + size] for i in range(0, len(whole), size))) == [f"line {n}" for n in range(50)]
    assert read(TIME + b"one\n" + TIME + b"tw") == ["one"], "it was not at its end"


def test_a_log_of_very_many_lines_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill_pipeline.clients.kubernetes.log_stream.MOST_LINES", 3)
    assert read(*[TIME + b"line %d\n" % n for n in range(9)]) == ["line 6", "line 7", "line 8"]
