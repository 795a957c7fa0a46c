"""Cuts a statement into tokens, so that no rule ever looks inside a string literal, a quoted name or a comment."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

# Bytes, as a literal may hold what is not UTF-8. An unclosed quote runs to the end: the engine words that error.
_TOKEN = re.compile(
    rb"""
      (?P<blank>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<string>'(?:\\.|''|[^'\\])*(?:'|\Z)|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<name>`(?:\\.|``|[^`\\])*(?:`|\Z)|"(?:\\.|""|[^"\\])*(?:"|\Z))
    | (?P<word>[A-Za-z_][\w$]*)
    | (?P<number>\d[\w.]*)
    | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPEN, _CLOSE = (b"(", b"[", b"{"), (b")", b"]", b"}")


class Token(NamedTuple):
    """A piece of a statement that is neither blank nor comment. `depth` counts the brackets around it."""

    kind: str
    text: bytes
    start: int
    end: int
    depth: int

    @property
    def upper(self) -> bytes:
        """The keyword this word may be; of anything but a word, nothing."""
        return self.text.upper() if self.kind == "word" else b""

    @property
    def is_name(self) -> bool:
        """Can stand for a table or a database."""
        return self.kind in ("word", "name")


def tokens(sql: bytes) -> Iterator[Token]:
    """The statement's tokens in order, lazily: the head of a long INSERT is found without reading its data."""
    depth = 0
    for match in _TOKEN.finditer(sql):
        kind = "string" if match.lastgroup == "tag" else match.lastgroup or "sign"
        if kind == "blank":
            continue
        text = match.group()
        depth -= text in _CLOSE
        yield Token(kind, text, match.start(), match.end(), depth)
        depth += text in _OPEN


def first_word(sql: bytes) -> bytes:
    """The keyword a statement begins with, past comments and opening brackets."""
    return next((token.upper for token in tokens(sql) if token.text != b"("), b"")


def find_words(found: Sequence[Token], *words: bytes, start: int = 0) -> int | None:
    """Where these keywords follow one another outside of any bracket."""
    for at in range(start, len(found) - len(words) + 1):
        run = found[at : at + len(words)]
        if all(token.upper == word and token.depth == 0 for token, word in zip(run, words, strict=True)):
            return at
    return None


def qualified_name(found: Sequence[Token], at: int) -> tuple[bytes, int] | None:
    """`table` or `database.table` as written at this token, and the position behind it."""
    if at >= len(found) or not found[at].is_name:
        return None
    if at + 2 < len(found) and found[at + 1].text == b"." and found[at + 2].is_name:
        return found[at].text + b"." + found[at + 2].text, at + 3
    return found[at].text, at + 1
