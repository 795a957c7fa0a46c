"""Joins the chunks of a result, each a whole document of its format, to the one document a server would send."""

from collections.abc import Callable, Iterable, Iterator

_ALIASES = {
    "tsv": "tabseparated",
    "tsvraw": "tabseparatedraw",
    "raw": "tabseparatedraw",
    "tsvwithnames": "tabseparatedwithnames",
    "tsvwithnamesandtypes": "tabseparatedwithnamesandtypes",
    "jsonlines": "jsoneachrow",
    "ndjson": "jsoneachrow",
}
_PLAIN = frozenset(
    (
        "native",
        "tabseparated",
        "tabseparatedraw",
        "csv",
        "rowbinary",
        "jsoneachrow",
        "jsoncompacteachrow",
        "jsonstringseachrow",
        "lineasstring",
    )
)
_CONTENT_TYPES = {
    "tabseparated": "text/tab-separated-values; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8; header=absent",
    "json": "application/json; charset=UTF-8",
    "jsoncompact": "application/json; charset=UTF-8",
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
}
_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def content_type(fmt: str) -> str:
    """The response header for a format."""
    return _CONTENT_TYPES.get(
        _canonical(fmt), "application/octet-stream" if fmt == "Native" else "text/plain; charset=UTF-8"
    )


def joiner(fmt: str) -> Callable[[Iterable[bytes]], Iterator[bytes]] | None:
    """How this format's chunks are joined; None where only the whole result makes one document."""
    name = _canonical(fmt)
    if name in _PLAIN:
        return iter
    if name == "tabseparatedwithnames":
        return lambda chunks: _without_head(chunks, 1)
    if name == "tabseparatedwithnamesandtypes":
        return lambda chunks: _without_head(chunks, 2)
    return _arrow_stream if name == "arrowstream" else None


def _canonical(fmt: str) -> str:
    return _ALIASES.get(fmt.lower(), fmt.lower())


def _without_head(chunks: Iterable[bytes], lines: int) -> Iterator[bytes]:
    for number, chunk in enumerate(chunks):
        yield chunk.split(b"\n", lines)[lines] if number else chunk


def _arrow_stream(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """One schema, then the batches of every chunk, then one end."""
    begun = False
    for chunk in chunks:
        schema = 8 + int.from_bytes(chunk[4:8], "little")
        yield chunk[schema if begun else 0 :].removesuffix(_END_OF_STREAM)
        begun = True
    if begun:
        yield _END_OF_STREAM
