"""YAML that refuses what plain YAML swallows, and the line on which a key stands."""

from pathlib import Path
from typing import Any

import yaml

Place = tuple[int | str, ...]
"""Keys and indices from the top of the file, as pydantic gives them."""


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice: YAML would silently keep the last. Names the line of a value like 2026-13-45."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise yaml.MarkedYAMLError(problem=str(error), problem_mark=node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.MarkedYAMLError(problem=f"the key `{name}` stands twice", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def said_of(path: Path, text: str, place: Place, what: str) -> str:
    """`file:line: key: what`."""
    key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).lstrip(".") or "the whole file"
    return f"{path}:{line_of(text, place)}: {key}: {what}"


def line_of(text: str, place: Place) -> int:
    """Line of the deepest node of the place that the file has (1-based)."""
    node, line = yaml.compose(text, Loader=yaml.SafeLoader), 1
    for part in place:
        found = _child(node, part)
        if found is None:
            break
        line, node = found
    return line


def _child(node: Any, part: int | str) -> tuple[int, Any] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return key.start_mark.line + 1, value
    return None
