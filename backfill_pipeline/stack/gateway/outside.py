"""Refuses what reaches beyond the engine's own tables: files of this machine, other servers, processes, its own end.

A server has users, grants and a folder for files; an embedded engine has none of them and may read whatever its process may.
"""

from backfill_pipeline.stack.gateway.errors import EngineError
from backfill_pipeline.stack.gateway.tokens import Token, tokens

# Table functions, engines and dictionary sources, by their name before an opening bracket.
_FUNCTIONS = frozenset(
    b"azureblobstorage azureblobstoragecluster backup deltalake deltalakelocal disk executable executablepool file filecluster"
    b" filesystem gcs hdfs hdfscluster http hudi iceberg icebergcluster iceberglocal icebergs3 jdbc mongodb mysql odbc"
    b" paimon paimonlocal python redis s3 s3cluster s3queue sqlite url urlcluster".split()
)
_WORDS = frozenset((b"INFILE", b"OUTFILE"))
_FIRST = frozenset((b"BACKUP", b"RESTORE"))
_SYSTEM = frozenset((b"SHUTDOWN", b"KILL"))


def refuse_outside(sql: bytes) -> None:
    """Raises ClickHouse's ACCESS_DENIED for a statement (without its data) that reaches out."""
    before = Token("sign", b"", 0, 0, 0)
    for at, token in enumerate(tokens(sql)):
        if _reaches_out(before, token, at):
            raise EngineError.of(497, "ACCESS_DENIED", f"{before.text.decode(errors='replace')} {_WHY}".strip())
        before = token


_WHY = "is not allowed here: this embedded engine works on its own tables only"


def _reaches_out(before: Token, token: Token, at: int) -> bool:
    if token.text == b"(" and before.text.strip(b'`"').lower() in _FUNCTIONS:
        return True
    if at == 1 and before.upper == b"SYSTEM":
        return token.upper in _SYSTEM
    return (at == 1 and before.upper in _FIRST) or before.upper in _WORDS
