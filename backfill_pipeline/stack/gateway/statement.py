"""What one statement is: a query with a result, an INSERT whose data follows, or a command."""

from dataclasses import dataclass
from enum import Enum

from backfill_pipeline.stack.gateway.errors import EngineError
from backfill_pipeline.stack.gateway.tokens import Token, find_words, first_word, qualified_name, tokens

_SELECTS = frozenset((b"SELECT", b"WITH", b"FROM"))
_READS = frozenset((b"SHOW", b"DESCRIBE", b"DESC", b"EXPLAIN", b"EXISTS", b"CHECK"))
_ANSWERS = frozenset((b"KILL", b"BACKUP", b"RESTORE"))
# An INSERT that is complete within this goes to the engine as one text, so that VALUES may hold bound parameters.
_SMALL = 256 * 1024


class Kind(Enum):
    """How a statement is run."""

    SELECT = "select"  # its result is streamed
    READ = "read"  # has a result, changes nothing
    ANSWER = "answer"  # has a result, changes something
    INSERT = "insert"  # data follows
    COMMAND = "command"  # no result


@dataclass(frozen=True)
class Statement:
    """A statement, the format of its result or of its data, and the data that was already read with it."""

    kind: Kind
    sql: bytes
    fmt: str
    data: bytes = b""

    @property
    def has_result(self) -> bool:
        """A server names the format of a result, and of nothing else."""
        return self.kind in (Kind.SELECT, Kind.READ, Kind.ANSWER)

    @property
    def only_reads(self) -> bool:
        """May come by GET, and ends with its client."""
        return self.kind in (Kind.SELECT, Kind.READ)


def is_insert(text: bytes) -> bool:
    """Whether this begins an INSERT, so that data may follow which is not to be gathered."""
    return first_word(text) == b"INSERT"


def statement_of(text: bytes, default_format: str) -> Statement:
    """A complete text that is no INSERT with data. Refuses several statements in one, as a server does."""
    found = list(tokens(text))
    _refuse_many(found)
    if not found:
        raise EngineError.of(62, "SYNTAX_ERROR", "Syntax error: Empty query")
    if not (word := first_word(text)):
        # The engine takes such a text for no statement at all, and says nothing.
        raise EngineError.of(62, "SYNTAX_ERROR", "Syntax error: failed at position 1: no keyword there")
    kind = _kind(word)
    if kind is Kind.SELECT and find_words(found, b"INSERT", b"INTO") is not None:
        kind = Kind.COMMAND  # WITH ... INSERT INTO ... SELECT
    return Statement(kind, text, _output_format(found) or default_format or "TabSeparated")


def insert_of(text: bytes, complete: bool, from_url: int, default_format: str) -> Statement | None:
    """The INSERT that `text` begins with, or None while it takes more text to tell where its data starts.

    `from_url` is how much of the text came in the address: without a FORMAT, data starts behind it.
    """
    found = []
    for token in tokens(text):
        found.append(token)
        if _opens_data(found) and _past_target(found):
            return _insert_at(token, text, complete, default_format)
    if not complete:
        return None
    return Statement(
        Kind.INSERT, text[:from_url] or text, default_format or "Values", text[from_url:] if from_url else b""
    )


def _opens_data(found: list[Token]) -> bool:
    word = found[-1].upper
    if word in (b"SELECT", b"WITH"):
        return found[-1].depth == 0 or found[-2].text == b"("
    return word in (b"FORMAT", b"VALUES", b"FROM") and found[-1].depth == 0


def _past_target(found: list[Token]) -> bool:
    at = 2 if len(found) > 2 and found[1].upper == b"INTO" else 1
    at += len(found) > at and found[at].upper == b"TABLE"
    if len(found) > at and found[at].upper == b"FUNCTION":
        return True
    named = qualified_name(found, at)
    return named is not None and len(found) > named[1]


def _insert_at(token: Token, text: bytes, complete: bool, default_format: str) -> Statement | None:
    if token.upper == b"FORMAT":
        return _insert_of_format(token, text, complete)
    if token.upper == b"VALUES" and not (complete and len(text) <= _SMALL):
        return (
            Statement(Kind.INSERT, text[: token.start], "Values", text[token.end :]) if token.end < len(text) else None
        )
    if not complete:
        return None
    if token.upper == b"VALUES":
        return Statement(Kind.COMMAND, text, "TabSeparated")
    return statement_of(text, default_format)


def _insert_of_format(keyword: Token, text: bytes, complete: bool) -> Statement | None:
    name = next(tokens(text[keyword.end :]), None)
    end = keyword.end + name.end if name else len(text)
    # Up to here the name, or the line break behind it, may be cut in two by the next piece of the body.
    if not complete and b"\n" not in text[end:] and len(text) < end + 64:
        return None
    if name is None:
        raise EngineError.of(62, "SYNTAX_ERROR", "Syntax error: failed at the end of the query: no name after FORMAT")
    return Statement(Kind.INSERT, text[: keyword.start], name.text.decode(errors="replace"), _behind_line(text, end))


def _behind_line(text: bytes, at: int) -> bytes:
    """Data starts behind the blanks and one line break that follow the format's name."""
    while text[at : at + 1] in (b" ", b"\t", b"\f", b"\r"):
        at += 1
    return text[at + (text[at : at + 1] == b"\n") :]


def _kind(word: bytes) -> Kind:
    if word in _SELECTS:
        return Kind.SELECT
    if word in _READS:
        return Kind.READ
    return Kind.ANSWER if word in _ANSWERS else Kind.COMMAND


def _output_format(found: list[Token]) -> str:
    """The name in a trailing FORMAT clause, which only a semicolon or SETTINGS may follow."""
    for at in range(len(found) - 2, 0, -1):
        if found[at].upper == b"FORMAT" and found[at].depth == 0 and found[at + 1].kind == "word":
            rest = found[at + 2 : at + 3]
            ends = not rest or rest[0].text == b";" or rest[0].upper == b"SETTINGS"
            return found[at + 1].text.decode() if ends else ""
    return ""


def _refuse_many(found: list[Token]) -> None:
    end = next((at for at, token in enumerate(found) if token.text == b";" and token.depth == 0), len(found))
    if any(token.text != b";" for token in found[end:]):
        raise EngineError.of(62, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed)")
