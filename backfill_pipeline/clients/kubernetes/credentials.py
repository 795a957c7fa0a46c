"""Credentials as a header can carry them, and texts without.

One that no header can carry would be quoted whole by whoever refuses to send it.
"""

import re
from collections.abc import MutableMapping
from typing import Any

from backfill_pipeline.domain.masking import MASK

_SENDABLE = re.compile(r"[\x20-\x7e]+")
_BASIC = ("username", "password")
_IN_AN_ADDRESS = re.compile(r"://\S*@")


class NotSendableError(Exception):
    """Its text holds nothing of the credential."""


def as_sent(header: str) -> str:
    """header: a scheme and a token, around which a file's line break may stand. kubectl takes it off as well.

    Raises:
        NotSendableError: no header can carry it.
    """
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if not token:
        raise NotSendableError("the token is nothing but white space")
    if not _SENDABLE.fullmatch(token):
        raise NotSendableError("the token holds a line break, a control character or a letter that is not ASCII")
    return f"{scheme} {token}"


def without_login(text: str) -> str:
    """The same with no `user:password@` in an address."""
    return _IN_AN_ADDRESS.sub(f"://{MASK}@", text)


def in_utf8(user: MutableMapping[str, Any]) -> bool:
    """Whether name and password were changed for the client, which encodes them as latin-1; kubectl sends UTF-8."""
    given = {key: user[key] for key in _BASIC if isinstance(user.get(key), str)}
    sent = {key: text.encode().decode("latin-1") for key, text in given.items()}
    user.update(sent)
    return sent != given
