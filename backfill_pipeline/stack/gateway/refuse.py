"""Refuses what a Replicated table refuses, so that a test on this plain engine does not pass where production fails."""

import re

from backfill_pipeline.stack.gateway.engine import Connection, quoted
from backfill_pipeline.stack.gateway.errors import EngineError
from backfill_pipeline.stack.gateway.replicated import ReplicatedTables
from backfill_pipeline.stack.gateway.tokens import Token, find_words, qualified_name, tokens

_ALLOW = b"allow_nondeterministic_mutations"
_MUTATION = re.compile(r"^\s*(AlterCommand (DELETE|UPDATE)|DeleteQuery|UpdateQuery)\b", re.MULTILINE)
_SUSPECT = re.compile(r"^\s*(?:(SelectQuery)\b|Function (\S+))", re.MULTILINE)


def refuse_nondeterministic(connection: Connection, sql: bytes, replicated: ReplicatedTables) -> None:
    """Raises ClickHouse's own error for a mutation that the replicas of a table might carry out differently."""
    found = list(tokens(sql))
    table = _mutated_table(found)
    if table is None or not replicated.holds(connection, table) or _allowed(connection, found):
        return
    # The engine's own parser knows where a subquery or a function is; bound parameters are filled in by then.
    tree = connection.text(b"EXPLAIN AST " + sql)
    if _MUTATION.search(tree):
        _judge(connection, tree)


def _judge(connection: Connection, tree: str) -> None:
    suspects = [(bool(select), function) for select, function in _SUSPECT.findall(tree)]
    random = _nondeterministic(connection, {function for _, function in suspects if function})
    for is_subquery, function in suspects:
        if is_subquery:
            raise EngineError.of(
                36,
                "BAD_ARGUMENTS",
                "ALTER UPDATE/ALTER DELETE statement with subquery may be nondeterministic, "
                "see allow_nondeterministic_mutations setting",
            )
        if function in random:
            raise EngineError.of(
                36,
                "BAD_ARGUMENTS",
                "The source storage is replicated so ALTER UPDATE/ALTER DELETE statements must use only deterministic "
                f"functions. Function '{function}' is non-deterministic",
            )


def _nondeterministic(connection: Connection, names: set[str]) -> set[str]:
    if not names:
        return set()
    wanted = ", ".join(quoted(name) for name in sorted(names))
    rows = connection.text(
        f"SELECT arrayJoin([{wanted}]) AS wanted WHERE wanted IN"  # noqa: S608
        " (SELECT name FROM system.functions WHERE deterministic = 0)"
        " OR lower(wanted) IN (SELECT lower(name) FROM system.functions WHERE deterministic = 0 AND case_insensitive)"
    )
    return set(rows.splitlines())


def _mutated_table(found: list[Token]) -> bytes | None:
    for words in ((b"ALTER", b"TABLE"), (b"DELETE", b"FROM"), (b"UPDATE",)):
        if find_words(found[: len(words)], *words) == 0:
            at = len(words)
            at += 2 if find_words(found[at : at + 2], b"IF", b"EXISTS") == 0 else 0
            named = qualified_name(found, at)
            return named[0] if named else None
    return None


def _allowed(connection: Connection, found: list[Token]) -> bool:
    for at, token in enumerate(found[:-2]):
        if token.text == _ALLOW and found[at + 1].text == b"=":
            return found[at + 2].text.strip(b"'") in (b"1", b"true")
    return connection.text(f"SELECT getSetting('{_ALLOW.decode()}')") in ("1", "true")
