"""What others said, without what looks like a secret: it goes into logs, tags and an audit that nobody may change. Pure.

A Job's log and a driver's message may quote anything, bytes too. What has no form of a secret can't be told from other words.

A character that can't be printed belongs to the secret that it stands in: a space instead would be the secret's end.
"""

import re
from collections.abc import Iterable

from backfill_pipeline.domain.texts import printable

MASK = "***"
_NAMES = (
    r"pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|api[-_]?key|access[-_]?key|private[-_]?key|authorization"
)
_ODD = "\0"  # stands for whatever can't be printed
_BLANK = rf"[\s{_ODD}]"
_VALUE = rf"""(?:"[^"\n]*"|'[^'\n]*'|(?:(?:bearer|basic){_BLANK}+)?[^\s,;&"')}}\]]+)"""
_URL_LOGIN = re.compile(r"://[^\s/@]*:\S*@|://[^\s/:@]+@")
_NAMED = re.compile(rf"""(?i)((?:\b|_)(?:{_NAMES}){_ODD}*["']?{_BLANK}*[:=]{_BLANK}*){_VALUE}""")
_BEARER = re.compile(rf"(?i)\b((?:bearer|basic){_BLANK}+)[A-Za-z0-9._~+/={_ODD}-]{{8,}}")
_COLOUR = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")  # a terminal's commands, between a name and its value too


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with `***` for the login of a URL, the value of a name such as `password`, a bearer token, and these secrets.

    Control characters are spaces in it.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = "".join(c if c.isprintable() or c in "\n\t" else _ODD for c in _COLOUR.sub(_ODD, text))
    text = _URL_LOGIN.sub(f"://{MASK}@", text)
    text = _NAMED.sub(rf"\g<1>{MASK}", text)
    return printable(_BEARER.sub(rf"\g<1>{MASK}", text))
