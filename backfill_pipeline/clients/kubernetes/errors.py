"""What the API server refuses, and that it is away, as our errors."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError, LocationValueError, SSLError

from backfill_pipeline.clients.forbidden import missing_right
from backfill_pipeline.clients.kubernetes.credentials import without_login
from backfill_pipeline.domain.errors import Kind, PipelineError

# What a call raises; a ValueError, where a request can't be written down or an answer is no JSON.
TRANSLATED = (ApiException, HTTPError, ValueError)
_AGAIN = "nothing is lost: a rerun adopts what was made"
LOG_IN = "log in, or renew the credentials of the context"
# What stays until somebody mends a file. A handshake that is cut (EOF, a reset) passes when the server is back.
_OF_CERTIFICATES = re.compile(r"certificate|X509|PEM|ASN1|KEY_VALUES_MISMATCH|UNKNOWN_CA", re.IGNORECASE)
_OF_RIGHTS = re.compile(r'User "[^"]*" cannot ')
_ANONYMOUS = 'User "system:anonymous"'


def kubectl(kubeconfig: Path | None, context: str | None) -> str:
    """For the commands that a person is told; a pod's own account needs neither."""
    login = {"kubeconfig": kubeconfig, "context": context}
    return " ".join(["kubectl", *(f"--{key} {shlex.quote(str(value))}" for key, value in login.items() if value)])


def translate(error: Exception, what: str, where: str) -> PipelineError:
    """what: the call that failed, in words. Every error of the client and of its transport becomes one of ours."""
    if isinstance(error, ValueError) and not isinstance(error, HTTPError | json.JSONDecodeError):
        return _unwritten(what, where, error)
    if not isinstance(error, ApiException) or not error.status:
        return _no_answer(what, where, error)
    message = _message(error)
    if error.status == 401:
        return _error(what, where, message, Kind.STOP, LOG_IN, "401")
    if _ANONYMOUS in message:  # nobody is to be given rights: nobody is logged in
        return _error(what, where, f"the context's login gave no credentials: {message}", Kind.STOP, LOG_IN, "403")
    if error.status == 403:
        return _forbidden(what, where, message)
    if error.status == 404:
        return _error(what, where, message, Kind.MISSING, "correct the name, the namespace or the context", "404")
    if error.status == 429 or error.status >= 500:
        return _error(what, where, message, Kind.RETRY, _AGAIN, str(error.status))
    return _error(what, where, message, Kind.STOP, "read the message", str(error.status))


def _no_answer(what: str, where: str, error: Exception) -> PipelineError:
    why, wrong = f"{type(error).__name__}: {error}", _wrong_in_the_kubeconfig(error)
    if wrong:
        return _error(what, where, why, Kind.STOP, f"correct the {wrong} in the kubeconfig, then rerun")
    return _error(what, where, why, Kind.UNREACHABLE, f"look at the API; {_AGAIN}")


def _wrong_in_the_kubeconfig(error: Exception) -> str:
    """Its own text names the path that was asked for, and so words of any kind; its reason does not."""
    if isinstance(error, LocationValueError):
        return "server"
    reason = getattr(error, "reason", error)  # the client gives that of its SSLError as a text
    is_tls = isinstance(reason, SSLError) or str(reason).startswith("SSLError\n")
    return "certificate" if is_tls and _OF_CERTIFICATES.search(str(reason)) else ""


def _unwritten(what: str, where: str, error: ValueError) -> PipelineError:
    """Its own text may quote a header, and with it a credential."""
    why = f"the request can't be written down: {type(error).__name__} (its text is not shown: it may hold a credential)"
    return _error(what, where, why, Kind.STOP, "correct the server and the credentials in the kubeconfig")


def _forbidden(what: str, where: str, message: str) -> PipelineError:
    """Of rights, or of what looks at each object after them: both are 403."""
    missing = missing_right(message)
    if not missing and "exceeded quota" in message:
        return _error(what, where, message, Kind.RETRY, f"wait, or raise the quota; {_AGAIN}", "403")
    if not missing and not _OF_RIGHTS.search(message):
        why = f"admission refused it: {message}"
        return _error(what, where, why, Kind.STOP, "change what it names, or ask who made this rule", "403")
    if not missing:
        return _error(what, where, message, Kind.STOP, "give the account this right", "403")
    return _error(what, where, missing.why, Kind.STOP, f"add to its Role (deploy/rbac.yaml): - {missing.rule}", "403")


def _message(error: ApiException) -> str:
    try:
        return str(json.loads(_text(error.body))["message"])
    except (ValueError, KeyError, TypeError):
        return f"{error.status} {error.reason}"


def _text(body: Any) -> str:
    return body.decode(errors="replace") if isinstance(body, bytes) else str(body)


def _error(what: str, where: str, why: str, kind: Kind, next_step: str, code: str | None = None) -> PipelineError:
    why = without_login(" ".join(why.split()))[:500]
    return PipelineError(what, where=where, why=why, next_step=next_step, kind=kind, code=code)
