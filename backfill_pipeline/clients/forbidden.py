"""What Kubernetes says when a right is missing, as the rule that is missing."""

import re
from typing import NamedTuple

_FORBIDDEN = re.compile(
    r'User "(?P<account>[^"]+)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
)


class MissingRight(NamedTuple):
    why: str
    rule: str


def missing_right(message: str) -> MissingRight | None:
    """None where the message does not name it."""
    found = _FORBIDDEN.search(message)
    if not found:
        return None
    rule = f'{{apiGroups: ["{found["group"]}"], resources: [{found["resource"]}], verbs: [{found["verb"]}]}}'
    return MissingRight(f"{found['account']} may not {found['verb']} {found['resource']}", rule)
