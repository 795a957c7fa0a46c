"""Alerts to a webhook: JSON by POST, as chat systems take it."""

from typing import Any

import requests

from backfill_pipeline.domain.alerts import Alert
from backfill_pipeline.domain.errors import Kind, PipelineError

SECONDS = 10


def post(url: str, alert: Alert) -> None:
    """Send one alert. The address is a secret: whoever knows it may write there, so no error repeats it.

    Raises:
        PipelineError: RETRY, nobody took it.
    """
    body: dict[str, Any] = {"text": alert.text, "subject": alert.subject.value, "key": alert.key}
    try:
        answer = requests.post(url, json=body, timeout=SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        raise _not_sent(type(error).__name__) from None
    if not answer.ok or answer.is_redirect:
        raise _not_sent(f"it answered {answer.status_code}")


def _not_sent(why: str) -> PipelineError:
    return PipelineError(
        "An alert was not taken",
        where="the webhook of `alerts:` in the configuration",
        why=why,
        next_step="look at the webhook; it is sent again at the next look",
        kind=Kind.RETRY,
    )
