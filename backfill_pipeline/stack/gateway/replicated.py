"""Remembers which tables the client created as Replicated, as the engine holds plain ones in their place."""

import os
from pathlib import Path

from backfill_pipeline.stack.gateway.engine import Connection, quoted
from backfill_pipeline.stack.gateway.tokens import Token, qualified_name, tokens

_UUID_OF = "SELECT uuid FROM system.tables"
_NOISE = frozenset((b"OR", b"REPLACE", b"IF", b"NOT", b"EXISTS"))


class ReplicatedTables:
    """By table UUID, which RENAME and EXCHANGE keep and DROP ends: one line each in a file of the data directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._uuids = set(path.read_text().split()) if path.exists() else set()

    def holds(self, connection: Connection, table: bytes) -> bool:
        """Whether the client believes this table, named as SQL names it, to be replicated."""
        return bool(self._uuids) and _uuid(connection, table) in self._uuids

    def note_created(self, connection: Connection, sql: bytes, replicated: bool) -> None:
        """After a CREATE: `CREATE TABLE b AS a` takes over a's engine."""
        found = list(tokens(sql))
        created = created_table(found)
        if created is None:
            return
        name, source = created
        if replicated or (source and self.holds(connection, source)):
            self._add(_uuid(connection, name))

    def _add(self, uuid: str) -> None:
        if not uuid or uuid in self._uuids:
            return
        with self._path.open("a") as file:
            file.write(f"{uuid}\n")
            file.flush()
            os.fsync(file.fileno())
        self._uuids.add(uuid)


def created_table(found: list[Token]) -> tuple[bytes, bytes | None] | None:
    """The table a CREATE makes, and the one it is made after where it names no engine of its own."""
    at = next((i for i, token in enumerate(found[:5]) if token.upper == b"TABLE"), None)
    if at is None or not found or found[0].upper not in (b"CREATE", b"ATTACH", b"REPLACE"):
        return None
    at += 1
    while at < len(found) and found[at].upper in _NOISE:
        at += 1
    named = qualified_name(found, at)
    return (named[0], _source(found, named[1])) if named else None


def _source(found: list[Token], at: int) -> bytes | None:
    if any(token.upper == b"ENGINE" and token.depth == 0 for token in found):
        return None
    if at < len(found) and found[at].upper == b"CLONE":
        at += 1
    if at + 1 >= len(found) or found[at].upper != b"AS" or found[at + 1].upper in (b"SELECT", b"WITH"):
        return None
    named = qualified_name(found, at + 1)
    return named[0] if named else None


def _uuid(connection: Connection, table: bytes) -> str:
    """What a table keeps over RENAME and EXCHANGE."""
    parts = [_unquoted(token) for token in tokens(table) if token.is_name]
    database = quoted(parts[0]) if len(parts) > 1 else "currentDatabase()"
    return connection.text(f"{_UUID_OF} WHERE database = {database} AND name = {quoted(parts[-1])}")


def _unquoted(token: Token) -> str:
    text = token.text.decode()
    return text if token.kind == "word" else text[1:-1].replace("\\`", "`").replace("``", "`")
