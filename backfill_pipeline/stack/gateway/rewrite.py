"""Turns what only a cluster with Keeper can run into what one engine can: same tables, same names, no replication."""

import logging
import re
from dataclasses import dataclass

from backfill_pipeline.stack.gateway.engine import HANDLE_SETTING
from backfill_pipeline.stack.gateway.tokens import Token, find_words, tokens

log = logging.getLogger(__name__)

_DISTRIBUTED_DDL = frozenset(
    b"CREATE ALTER DROP RENAME EXCHANGE TRUNCATE OPTIMIZE SYSTEM ATTACH DETACH KILL DELETE UPDATE UNDROP".split()
)
_CREATES = frozenset((b"CREATE", b"ATTACH", b"REPLACE"))
_BEFORE_A_SELECT = frozenset((b"AS", b"SELECT", b"WHERE"))
_REPLICATED = re.compile(rb"Replicated(\w*MergeTree)\Z")
_said: set[str] = set()


@dataclass(frozen=True)
class Rewritten:
    """The statement for the engine, and whether it creates a table that the client believes replicated."""

    sql: bytes
    creates_replicated: bool


def rewrite(sql: bytes) -> Rewritten:
    """Without ON CLUSTER and with Replicated*MergeTree in its plain form; anything else is returned as it came."""
    if not _may_matter(sql):
        return Rewritten(sql, False)
    found = list(tokens(sql))
    if [token.upper for token in found[:2]] == [b"KILL", b"QUERY"]:
        return Rewritten(_kill_by_handle(sql, found), False)
    if not found or found[0].upper not in _DISTRIBUTED_DDL | _CREATES:
        return Rewritten(sql, False)
    engine = _replicated_engine(found) if found[0].upper in _CREATES else None
    cuts = [cut for cut in (_on_cluster(found), engine) if cut]
    return Rewritten(_replaced(sql, cuts), engine is not None)


def _may_matter(sql: bytes) -> bool:
    lowered = sql.lower()
    return b"cluster" in lowered or b"replicated" in lowered or b"query_id" in lowered


def _kill_by_handle(sql: bytes, found: list[Token]) -> bytes:
    """The engine draws ids by itself: the client's own is where `Engine.connect` put it."""
    cuts = [
        (token.start, token.end, f"Settings['{HANDLE_SETTING}']".encode()) for token in found if _is_query_id(token)
    ]
    return _replaced(sql, [cut for cut in (_on_cluster(found), *cuts) if cut])


def _is_query_id(token: Token) -> bool:
    return token.is_name and token.text.strip(b'`"') == b"query_id"


def _replaced(sql: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    for start, end, instead in sorted(cuts, reverse=True):
        sql = sql[:start] + instead + sql[end:]
    return sql


def _on_cluster(found: list[Token]) -> tuple[int, int, bytes] | None:
    """A view's own SELECT may join ON a column called cluster, so the search ends where one can begin."""
    stop = next((at for at, token in enumerate(found) if at and token.upper in _BEFORE_A_SELECT), len(found))
    at = find_words(found[:stop], b"ON", b"CLUSTER")
    if at is None or at + 2 >= len(found):
        return None
    _say_once("ON CLUSTER is left out of statements: this engine is one shard and hears nothing of the others")
    last = at + 2
    if found[last].text == b"{":
        last = next((i for i in range(last, len(found)) if found[i].text == b"}"), last)
    return found[at].start, found[last].end, b" "


def _replicated_engine(found: list[Token]) -> tuple[int, int, bytes] | None:
    for at, token in enumerate(found):
        match = _REPLICATED.match(token.text) if token.kind == "word" and token.depth == 0 else None
        if match and at and (found[at - 1].text == b"=" or found[at - 1].upper == b"ENGINE"):
            _say_once("Replicated*MergeTree tables are created as plain ones: there is no Keeper here")
            end, arguments = _arguments(found, at + 1)
            return token.start, end or token.end, match.group(1) + arguments
    return None


def _arguments(found: list[Token], at: int) -> tuple[int, bytes]:
    """Keeper's path and the replica's name are the two leading literals; the rest is the plain engine's."""
    if at >= len(found) or found[at].text != b"(":
        return 0, b""
    close = next(i for i in range(at, len(found)) if found[i].text == b")" and found[i].depth == found[at].depth)
    inner = [token for token in found[at + 1 : close] if token.text != b","]
    kept = inner[2:] if len(inner) > 1 and inner[0].kind == inner[1].kind == "string" else inner
    return found[close].end, b"(" + b", ".join(token.text for token in kept) + b")"


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        log.warning(message)
