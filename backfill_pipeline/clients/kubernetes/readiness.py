"""Waiting for an API server that has just begun: until it has read the roles, it forbids everybody everything."""

import time

from kubernetes import client
from kubernetes.client.exceptions import ApiException

READY_SECONDS = 30
FORBIDDEN_SECONDS = 10
POLL_SECONDS = 0.2
_CALL_SECONDS = (5, 5)


def wait_until_ready(api: client.ApiClient) -> None:
    """Until `/readyz` says that it is. Everybody may ask it, by a role of Kubernetes' own that is read late as all others.

    Where somebody took that role away, it is waited for in vain, and for less long.

    Raises:
        ApiException: it is not ready after READY_SECONDS, with the server's own status (500 and above).
        HTTPError: it does not answer.
    """
    begun = time.monotonic()
    while error := _not_ready(api):
        waited = time.monotonic() - begun
        if error.status == 403 and waited > FORBIDDEN_SECONDS:
            return
        if waited > READY_SECONDS:
            raise error
        time.sleep(POLL_SECONDS)


def _not_ready(api: client.ApiClient) -> ApiException | None:
    how = {"auth_settings": ["BearerToken"], "_preload_content": False, "_request_timeout": _CALL_SECONDS}
    try:
        api.call_api("/readyz", "GET", **how)
    except ApiException as error:
        return error if error.status >= 500 or error.status == 403 else None
    return None
