"""Alerts to a webhook: JSON by POST, as chat systems take it."""

import asyncio
from typing import Any

import aiohttp

from backfill_pipeline.domain.alerts import Alert
from backfill_pipeline.domain.errors import Kind, PipelineError

WHOLE_CALL = aiohttp.ClientTimeout(total=10)  # not per read: who sends a byte now and then would hold up all retries


def post(url: str, alert: Alert) -> None:
    """Send one alert. The address is a secret: whoever knows it may write there, so no error repeats it.

    Raises:
        PipelineError: RETRY, nobody took it.
    """
    body: dict[str, Any] = {"text": alert.text, "subject": alert.subject.value, "key": alert.key}
    try:
        status = asyncio.run(_answered(url, body))
    except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
        raise _not_sent(type(error).__name__) from None
    if not 200 <= status < 300:
        raise _not_sent(f"it answered {status}")


async def _answered(url: str, body: dict[str, Any]) -> int:
    """The status alone; what else it answers is not read, and a redirect not followed: it would tell another server."""
    async with (
        aiohttp.ClientSession(timeout=WHOLE_CALL, trust_env=True) as session,
        session.post(url, json=body, allow_redirects=False) as answer,
    ):
        return answer.status


def _not_sent(why: str) -> PipelineError:
    return PipelineError(
        "An alert was not taken",
        where="the webhook of `alerts:` in the configuration",
        why=why,
        next_step="look at the webhook; it is sent again at the next look",
        kind=Kind.RETRY,
    )
