"""Several systems asked at once, each with a deadline: one that is silent keeps nobody waiting for the others."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from typing import TypeVar

from backfill_pipeline.domain.errors import Kind, PipelineError

K = TypeVar("K")
T = TypeVar("T")


def asked(questions: Mapping[K, Callable[[], T]], seconds: float) -> dict[K, T | PipelineError]:
    """The answer to each question, or why there is none.

    Threads are daemons: an executor's would keep the process, also after Ctrl-C, for as long as a silent system lets it.
    """
    end = time.monotonic() + seconds
    futures = {key: _begun(question) for key, question in questions.items()}
    return {key: _answer(future, end, seconds) for key, future in futures.items()}


def _begun(question: Callable[[], T]) -> "Future[T | PipelineError]":
    future: Future[T | PipelineError] = Future()

    def ask() -> None:
        try:
            future.set_result(question())
        except PipelineError as error:
            future.set_result(error)
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    return future


def _answer(future: "Future[T | PipelineError]", end: float, seconds: float) -> T | PipelineError:
    try:
        return future.result(max(end - time.monotonic(), 0))
    except NotInTime:
        return PipelineError(
            "No answer in time",
            where="the system",
            why=f"none within {seconds:.0f} s",
            next_step="look at the network and the system",
            kind=Kind.UNREACHABLE,
        )
