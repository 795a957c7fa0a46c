"""What anybody wrote, fit to be kept and shown: a terminal obeys control characters, and PostgreSQL takes no NUL. Pure."""

from backfill_pipeline.domain.errors import Refused


def printable(text: str) -> str:
    """The same lines, with a space for all that can't be printed; half of a surrogate pair, which no system takes, too."""
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)


def one_line(text: str) -> str:
    """The same words on one line."""
    return " ".join(printable(text).split())


def said(text: str) -> str:
    """What a person says of what is asked for, on one line.

    Raises:
        Refused: it holds bytes that are no text, as a terminal with another encoding gives them.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused(
            "That is no text; nothing was sent",
            where=ascii(text[:80]),
            why="it can't be written as UTF-8, which is how all systems here keep it",
            next_step="give it in UTF-8, or in letters without accents",
        ) from None
    return one_line(text)
