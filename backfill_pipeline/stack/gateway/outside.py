"""Refuses what reaches beyond the engine's own tables: files of this machine, other servers, processes, its own end.

A server has users, grants and a folder for files; an embedded engine has none of them and may read whatever its process may.
No list of names is complete: what holds is the sandbox. This says the reason in a server's words, also without Landlock.
"""

import re
from collections.abc import Iterable

from backfill_pipeline.stack.gateway.errors import EngineError
from backfill_pipeline.stack.gateway.tokens import Token, tokens

# Table functions, engines and dictionary sources, by their name before an opening bracket or behind ENGINE.
_FUNCTIONS = frozenset(
    b"azureblobstorage azureblobstoragecluster backup deltalake deltalakelocal disk executable executablepool file filecluster"
    b" filesystem gcs hdfs hdfscluster http hudi iceberg icebergcluster iceberglocal icebergs3 jdbc mongodb mysql odbc"
    b" paimon paimonlocal python redis s3 s3cluster s3queue sqlite url urlcluster".split()
)
_WORDS = frozenset((b"INFILE", b"OUTFILE"))
# Settings that name a file: a template's text is sent as it is, or quoted by an error.
_SETTINGS = frozenset(
    b"format_template_resultset format_template_row format_schema format_schema_source output_format_schema".split()
)
# In a quoted name: it may stand for any letter of a forbidden one, and nobody else writes it.
_ESCAPED_LETTER = re.compile(rb"(?:[^\\]|\\[\\`\"])*\\[^\\`\"]", re.DOTALL)
_FIRST = frozenset((b"BACKUP", b"RESTORE"))
_SYSTEM = frozenset((b"SHUTDOWN", b"KILL"))


def refuse_outside(sql: bytes, settings: Iterable[str] = ()) -> None:
    """Raises ClickHouse's ACCESS_DENIED for a statement (without its data) that reaches out, or a request's setting."""
    for name in settings:
        if name.lower().encode() in _SETTINGS:
            raise EngineError.of(497, "ACCESS_DENIED", f"{name} {_WHY}")
    before = Token("sign", b"", 0, 0, 0)
    for at, token in enumerate(tokens(sql)):
        if _reaches_out(before, token, at):
            raise EngineError.of(497, "ACCESS_DENIED", f"{before.text.decode(errors='replace')} {_WHY}".strip())
        if not (before.upper == b"ENGINE" and token.text == b"="):  # which may be left out
            before = token


_WHY = "is not allowed here: this embedded engine works on its own tables only"


def _reaches_out(before: Token, token: Token, at: int) -> bool:
    if token.kind == "name" and _ESCAPED_LETTER.match(token.text):
        return True
    if _bare(token) in _SETTINGS:
        return True
    # A database's engine needs no bracket.
    if (token.text == b"(" and _bare(before) in _FUNCTIONS) or (
        before.upper == b"ENGINE" and _bare(token) in _FUNCTIONS
    ):
        return True
    if at == 1 and before.upper == b"SYSTEM":
        return token.upper in _SYSTEM
    return (at == 1 and before.upper in _FIRST) or before.upper in _WORDS


def _bare(token: Token) -> bytes:
    return token.text.strip(b'`"').lower() if token.is_name else b""
