"""Values of a task's environment; what can't be used is refused by the name of its variable."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from backfill_pipeline.domain.errors import Refused

T = TypeVar("T")


def read(env: Mapping[str, str], name: str, parse: Callable[[str], T]) -> T | None:
    """A variable's value; None where it is not set or empty.

    Raises:
        Refused: naming the variable and what was expected.
    """
    if not env.get(name):
        return None
    try:
        return parse(env[name])
    except Refused as error:
        raise refused(name, env[name], error.why) from None


def positive(text: str) -> int:
    """A whole number from 1 on.

    Raises:
        Refused: it is none.
    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise Refused("Not a number", where=repr(text), why="expected a whole number from 1 on", next_step="correct it")
    return int(text)


def refused(variable: str, value: str, why: str) -> Refused:
    return Refused(
        f"{variable} can't be used",
        where=f"environment, {variable}={value!r}",
        why=why,
        next_step=f"correct {variable}; nothing was started",
    )
