"""Values of a task's environment; what can't be used is refused by the name of its variable."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from backfill_pipeline.domain.errors import Refused

T = TypeVar("T")
MOST = 2**31 - 1  # what Temporal and other workers hold in 32 bits


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
    """A whole number from 1 to `MOST`.

    Raises:
        Refused: it is none.
    """
    is_short = text.isascii() and text.isdigit() and len(text) <= len(str(MOST))
    if not is_short or not 1 <= int(text) <= MOST:
        raise Refused(
            "Not a number",
            where=repr(text[:80]),
            why=f"expected a whole number from 1 to {MOST}",
            next_step="correct it",
        )
    return int(text)


def refused(variable: str, value: str, why: str) -> Refused:
    return Refused(
        f"{variable} can't be used",
        where=f"environment, {variable}={value[:80]!r}",
        why=why,
        next_step=f"correct {variable}; nothing was started",
    )
