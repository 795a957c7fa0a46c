"""What kubectl writes when a forward fails, as our errors."""

import re
from typing import NamedTuple

from backfill_pipeline.clients.forbidden import missing_right
from backfill_pipeline.domain.errors import Kind, PipelineError

RIGHTS = "deploy/rbac-port-forward.yaml"
_WHY_LENGTH = 500


class Rule(NamedTuple):
    """text: a regular expression."""

    text: str
    kind: Kind
    reason: str
    next_step: str


_NAMES = "correct `forward` in the configuration: target, port, namespace or context"
_LOG_IN = "renew the credentials of the context"
_BY_HAND = f"{_LOG_IN}; `kubectl auth whoami` with its --context shows what the login plugin says"
_API = "look at the network and the API server, then rerun"
# Order matters: the first text that is found decides. The part that closes last is named last by kubectl: "lost
# connection to pod" follows upon every other reason.
RULES = (
    Rule("could not be started", Kind.STOP, "kubectl does not start", "install a kubectl that runs here"),
    Rule("context was not found", Kind.MISSING, "the kubeconfig has no such context", _NAMES),
    Rule(
        r'(context|cluster|auth info) "[^"]*" does not exist',
        Kind.MISSING,
        "the kubeconfig has no such context",
        _NAMES,
    ),
    Rule("error: stat ", Kind.MISSING, "the kubeconfig is not there", "correct `forward.kubeconfig`"),
    Rule("error loading config file", Kind.STOP, "the kubeconfig can't be read", "correct the file"),
    Rule(r"\(NotFound\)", Kind.MISSING, "the cluster has no such service or pod", _NAMES),
    Rule("does not have a service port", Kind.MISSING, "the service has no such port", _NAMES),
    Rule("does not have a named port", Kind.MISSING, "the pod has no port of the service's name", _NAMES),
    Rule(r"\(Unauthorized\)", Kind.STOP, "the cluster does not know the account", _LOG_IN),
    Rule("must be logged in", Kind.STOP, "the cluster does not know the account", _LOG_IN),
    Rule(
        r"getting credentials|invalid header field value",
        Kind.STOP,
        "the context's login gave no credentials",
        _BY_HAND,
    ),
    Rule("for no reason of its own", Kind.UNKNOWN, "it failed", _BY_HAND),
    Rule("Please enter Username", Kind.STOP, "the context has no credentials", _LOG_IN),
    Rule("certificate", Kind.STOP, "the cluster's certificate is not accepted", "correct the context's cluster"),
    Rule("nable to listen", Kind.RETRY, "the local port is taken", "end what listens there (`ss -ltnp`)"),
    Rule("pod is not running", Kind.RETRY, "the pod does not run", "look why: kubectl describe"),
    Rule("timed out waiting", Kind.RETRY, "the service has no pod that runs", "look why: kubectl describe"),
    Rule(
        r"(pod|network namespace\b.*) does not exist",
        Kind.RETRY,
        "the node has the pod no longer, or not yet",
        "look at the pod; rerun",
    ),
    Rule(
        "error forwarding port", Kind.UNREACHABLE, "nobody answers in the pod at this port", _NAMES + "; is it ready?"
    ),
    Rule("was refused", Kind.UNREACHABLE, "the API server is away", _API),
    Rule("nable to connect to the server", Kind.UNREACHABLE, "the API server is away", _API),
    Rule("error upgrading connection", Kind.RETRY, "the node did not take the connection", "look at the node; rerun"),
    Rule(
        "lost connection to pod", Kind.RETRY, "the pod is gone, or a connection of it broke", "look at the pod; rerun"
    ),
    Rule("did not listen", Kind.UNREACHABLE, "kubectl has neither come through nor failed in time", _API),
    Rule("answer", Kind.UNREACHABLE, "what is behind it does not answer", "look at the pod; is it the right port?"),
)
_NO_RULE = Rule("", Kind.UNKNOWN, "no rule matches", "read the message")


def failure_of(what: str, where: str, said: str) -> PipelineError:
    """said: the end of what kubectl wrote."""
    why = " ".join(said.split())[-_WHY_LENGTH:]
    if "is forbidden" in said:
        return _forbidden(what, where, why)
    rule = next((r for r in RULES if re.search(r.text, said)), _NO_RULE)
    return PipelineError(what, where=where, why=f"{rule.reason}: {why}", next_step=rule.next_step, kind=rule.kind)


def _forbidden(what: str, where: str, why: str) -> PipelineError:
    missing = missing_right(why)
    next_step = f"add to its Role ({RIGHTS}): - {missing.rule}" if missing else f"give the account {RIGHTS}"
    return PipelineError(what, where=where, why=missing.why if missing else why, next_step=next_step, code="403")
