"""A launcher for the cluster that a configuration names."""

import logging
import re
import sys
import threading
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, ConfigNode, KubeConfigLoader, KubeConfigMerger
from yaml import MarkedYAMLError, YAMLError

from backfill_pipeline.clients.kubernetes.credentials import NotSendableError, as_sent, in_utf8, without_login
from backfill_pipeline.clients.kubernetes.errors import LOG_IN, kubectl
from backfill_pipeline.clients.kubernetes.jobs import KubernetesJobs
from backfill_pipeline.clients.kubernetes.login_plugin import SILENT
from backfill_pipeline.config import Launcher
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.masking import MASK

# What the client raises of a kubeconfig that is none: it looks at no type before it uses it.
UNREADABLE = (ConfigException, OSError, YAMLError, AttributeError, LookupError, TypeError, ValueError)
# Ways to log in that the client tries, and where they give nothing it goes on as anonymous.
TRIED = ("exec", "auth-provider", "tokenFile")
WHY_LENGTH = 500
PLUGIN_SECONDS = 30
# With the standard library alone it starts in 20 ms.
BOUNDED = ("-I", "-S", str(Path(__file__).with_name("login_plugin.py")))
# The client names an entry that lacks something by all that it holds, its token too.
_ENTRY = re.compile(r"\{.*\}")
# And a command of `auth-provider` with its arguments and all that it wrote, which may hold secrets.
_COMMAND = re.compile(r"\nCmd: (\S*).*", re.DOTALL)
# What it says of a plugin that failed at a terminal, where it reads no stderr; and ours.
_AT_A_TERMINAL = ("'NoneType' object has no attribute 'strip'", "the plugin failed; why stands above")


def opened(given: Launcher) -> KubernetesJobs:
    """Nothing is asked of the cluster before the first call.

    Raises:
        PipelineError: MISSING, the context or its file, or this is no pod; STOP, the context's login gave no credentials;
            UNREACHABLE, its plugin did not answer.
    """
    api = _logged_in(given)
    return KubernetesJobs(api, given.namespace, given.context, given.kubeconfig, lambda: _logged_in(given))


def _logged_in(given: Launcher) -> client.ApiClient:
    configuration = _Configuration(given)
    with _told(given):
        if given.context:
            _configure(configuration, given, given.context)
        else:
            config.load_incluster_config(client_configuration=configuration)
        for header in configuration.api_key.values():
            as_sent(header)
        return client.ApiClient(configuration)


class _Configuration(client.Configuration):  # type: ignore[misc]
    """Asked for the credentials before each call: what a file or a plugin gives by then is looked at like the first."""

    def __init__(self, given: Launcher) -> None:
        super().__init__()
        self._given = given

    def get_api_key_with_prefix(self, identifier: str, alias: str | None = None) -> str | None:
        with _told(self._given):
            header = super().get_api_key_with_prefix(identifier, alias)
            return as_sent(header) if header else None


@contextmanager
def _told(given: Launcher) -> Iterator[None]:
    """What the client raises of a login, as our errors."""
    try:
        yield
    except NotSendableError as error:
        next_step = "correct the token where it comes from: `token`, `tokenFile` or the plugin of the context's user"
        raise _no_way(given, str(error), next_step, Kind.STOP) from None
    except UNREADABLE as error:
        next_step = "correct `launcher.context` or `launcher.kubeconfig`; `kubectl config get-contexts` lists them"
        raise _no_way(given, _why(error), next_step, Kind.MISSING) from None


def _why(error: Exception) -> str:
    if isinstance(error, ConfigException | OSError):
        return str(error)
    return f"it can't be read as a kubeconfig: {type(error).__name__}: {_not_quoting(error)}"


def _not_quoting(error: Exception) -> str:
    """What is wrong, without the letters or the word that it is wrong with: they may be a password's."""
    if isinstance(error, UnicodeEncodeError | UnicodeDecodeError):
        return error.reason
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}"
    return str(error)


def _configure(configuration: client.Configuration, given: Launcher, context: str) -> None:
    files = KubeConfigMerger(str(given.kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION))
    if files.config is None:
        raise ConfigException("no kubeconfig is there")
    tree = files.config
    named = tree["contexts"].get_with_name(context)["context"]
    user = tree["users"].get_with_name(named["user"])["user"] if named.safe_get("user") else {}
    # What is changed here is not to be written back; what the client itself renews is.
    is_changed = isinstance(user, ConfigNode) and any([_bound_plugin(user), in_utf8(user.value)])
    save = None if is_changed else files.save_changes
    with _overheard() as said:
        KubeConfigLoader(tree, context, config_base_path=None, config_persister=save).load_and_set(configuration)
    if not (configuration.api_key or configuration.cert_file):
        _check_logged_in(given, user, said)
    cluster = tree["clusters"].get_with_name(named["cluster"])["cluster"]
    if not cluster.safe_get("server"):
        raise _no_way(given, "the context's cluster has no `server`", "correct the server in the kubeconfig", Kind.STOP)
    if proxy := cluster.safe_get(
        "proxy-url"
    ):  # the client reads those of the environment only; like kubectl, this one goes before them
        configuration.proxy, configuration.no_proxy = proxy, None


def _bound_plugin(user: ConfigNode) -> bool:
    """The client waits for it without a deadline: now, and inside of a call when what it gave has expired."""
    if "exec" not in user or "command" not in user["exec"]:
        return False
    plugin = user["exec"].value
    plugin["args"] = [*BOUNDED, str(PLUGIN_SECONDS), plugin["command"], *(plugin.get("args") or [])]
    plugin["command"] = sys.executable
    return True


def _check_logged_in(given: Launcher, user: Container[str], said: list[str]) -> None:
    """Who has no way to log in may mean that: `kubectl proxy` does it for others."""
    tried = [way for way in TRIED if way in user]
    if tried:
        words = "; ".join(said).replace(*_AT_A_TERMINAL)
        why = f"{', '.join(tried)} of the context's user gave neither a token nor a certificate: {words}"
        by_hand = f"{kubectl(given.kubeconfig, given.context)} auth whoami"
        next_step = f"{LOG_IN}; `{by_hand}` tells whether it works, and shows what a plugin says"
        silent = any(f"process returned {SILENT}" in line for line in said)
        raise _no_way(given, why.rstrip(": "), next_step, Kind.UNREACHABLE if silent else Kind.STOP)


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """What the client does not raise: why a login plugin gave nothing goes to the root logger, and nowhere else."""
    listener = _Listener()
    logging.getLogger().addHandler(listener)
    try:
        yield listener.said
    finally:
        logging.getLogger().removeHandler(listener)


class _Listener(logging.Handler):
    """To what this thread tells the root logger itself; other logins may go on at the same time."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if (record.name, record.thread) == ("root", self._thread):
            self.said.append(record.getMessage())


def _no_way(given: Launcher, why: str, next_step: str, kind: Kind) -> PipelineError:
    return PipelineError(
        "No way to log in to the cluster",
        where=f"{given.kubeconfig or 'KUBECONFIG or ~/.kube/config'}, context {given.context or '(of the pod)'}",
        why=without_login(_ENTRY.sub(MASK, " ".join(_COMMAND.sub(r" (\1)", why).split())))[:WHY_LENGTH],
        next_step=next_step,
        kind=kind,
    )
