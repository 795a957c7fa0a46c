"""What others said, without what looks like a secret: it goes into logs, tags and an audit that nobody may change. Pure.

A Job's log and a driver's message may quote anything, bytes too. What has no form of a secret can't be told from other words.
"""

import re
from collections.abc import Iterable

from backfill_pipeline.domain.texts import printable

MASK = "***"
_NAMES = (
    r"pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|api[-_]?key|access[-_]?key|private[-_]?key|authorization"
)
_VALUE = r"""(?:"[^"\n]*"|'[^'\n]*'|(?:(?:bearer|basic)\s+)?[^\s,;&"')}\]]+)"""
_URL_LOGIN = re.compile(r"://[^\s/@]*:\S*@|://[^\s/:@]+@")
_NAMED = re.compile(rf"""(?i)((?:\b|_)(?:{_NAMES})["']?\s*[:=]\s*){_VALUE}""")
_BEARER = re.compile(r"(?i)\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}")


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with `***` for the login of a URL, the value of a name such as `password`, a bearer token, and these secrets.

    Control characters are spaces in it.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _URL_LOGIN.sub(f"://{MASK}@", printable(text))
    text = _NAMED.sub(rf"\g<1>{MASK}", text)
    return _BEARER.sub(rf"\g<1>{MASK}", text)
