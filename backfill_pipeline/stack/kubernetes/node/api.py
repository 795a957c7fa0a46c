"""Calls of the API server as a node makes them."""

import sys
import time
from collections.abc import Callable
from typing import Any

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

AWAY_SECONDS = 120
PAUSE_SECONDS = 0.25
GONE = (404, 409)  # nobody's business any more: deleted, or replaced by another of its name
CALL_SECONDS = 20


def told(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """The answer; None where the object is gone. An API server that is away is waited for.

    Raises:
        ApiException: refused.
        HTTPError: away for longer than `AWAY_SECONDS`.
    """
    end = time.monotonic() + AWAY_SECONDS
    while True:
        try:
            return call(*args, _request_timeout=CALL_SECONDS, **options)
        except (ApiException, HTTPError) as error:
            status = getattr(error, "status", None) or 500
            if status in GONE:
                return None
            if (status < 500 and status != 429) or time.monotonic() > end:
                raise
            print(f"asking again: {str(error)[:200]!r}", file=sys.stderr, flush=True)
        time.sleep(PAUSE_SECONDS)
