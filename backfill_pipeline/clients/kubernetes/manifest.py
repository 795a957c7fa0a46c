"""A Job's manifest from its CronJob's template. Pure: the dry run prints what the run creates."""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from backfill_pipeline.clients.kubernetes.credentials import without_login
from backfill_pipeline.clients.kubernetes.state import DEFAULT_CONTAINER
from backfill_pipeline.domain.masking import MASK
from backfill_pipeline.domain.plans import Launch

Tree = dict[str, Any]
GRACE_SECONDS = 8  # from SIGTERM to SIGKILL at most: `cancel` waits for little longer than that
LOG_SECONDS = 24 * 3600  # a finished Job and its log stay at least this long: somebody may ask tomorrow
# All that a Job keeps of its template beside the pod. What else there is to say makes more pods than one (indexes, failures
# that do not count), or the API server refuses it beside what is set here.
KEPT = ("suspend", "managedBy")
_OUR_WORDS = re.compile(r"-m|backfill_pipeline(\.\w+)*")  # of a command: our own tasks can be told apart
_QUERY = re.compile(r"\?.*", re.DOTALL)


def job_of(cronjob: Mapping[str, Any], launch: Launch) -> Tree:
    """The Job as it is sent to the API server: one pod, whose containers begin once.

    It has no owner, and so the CronJob's controller neither counts nor removes it (with one it says `UnexpectedJob`).
    """
    template = copy.deepcopy(cronjob["spec"]["jobTemplate"])
    spec = template["spec"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": launch.job_name, **_marked(template.get("metadata", {}), launch)},
        "spec": {
            **{key: spec[key] for key in KEPT if key in spec},
            "template": _pod(spec["template"], launch),
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 0,  # another pod would start again what an earlier one began: retries are the pipeline's
            "activeDeadlineSeconds": max(1, int(launch.deadline_seconds)),
            "ttlSecondsAfterFinished": max(spec.get("ttlSecondsAfterFinished", 0), LOG_SECONDS),
        },
    }


def masked(cronjob: Mapping[str, Any]) -> Tree:
    """The same to be shown: whatever its template gives as plain text may be a secret, and no name tells which is."""
    shown = copy.deepcopy(dict(cronjob))
    shown["spec"]["jobTemplate"] = _masked(shown["spec"]["jobTemplate"])
    return shown


def _pod(template: Tree, launch: Launch) -> Tree:
    metadata, spec = _marked(template.get("metadata", {}), launch), template["spec"]
    # A service mesh may put its container before the task's, whose log is wanted.
    metadata["annotations"].setdefault(DEFAULT_CONTAINER, spec["containers"][0]["name"])
    for container in spec["containers"]:
        container["env"] = _env(container.get("env", []), launch.env)
    _begun_once(spec)
    # With 0 the API server forgets the pod at once, and its processes live on unseen.
    grace = max(1, min(spec.get("terminationGracePeriodSeconds", GRACE_SECONDS), GRACE_SECONDS))
    return {**template, "metadata": metadata, "spec": {**spec, "terminationGracePeriodSeconds": grace}}


def _begun_once(spec: Tree) -> None:
    """A container that is started again in its pod begins again, and its log is lost.

    It may have a policy of its own, which makes an init container a sidecar, and rules that start all others again too.
    """
    spec["restartPolicy"] = "Never"
    for container in spec["containers"]:
        container.pop("restartPolicy", None)
    for container in _containers(spec):
        container.pop("restartPolicyRules", None)


def _containers(spec: Tree) -> Iterator[Tree]:
    yield from spec["containers"]
    yield from spec.get("initContainers") or ()


def _masked(tree: Any, key: str = "") -> Any:
    """Wherever it stands, in an init container or a probe too; an address anywhere is without user and password.

    Args:
        key: under which it stands.
    """
    if tree and key in SECRET_TEXTS:
        return SECRET_TEXTS[key](tree)
    if isinstance(tree, Mapping):
        return {name: _masked(value, name) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_masked(value) for value in tree]
    return without_login(tree) if isinstance(tree, str) else tree


def _values(entries: list[Tree]) -> list[Tree]:
    return [{**entry, "value": MASK} if "value" in entry else entry for entry in entries]


def _words(given: list[str]) -> list[str]:
    return [word if _OUR_WORDS.fullmatch(str(word)) else MASK for word in given]


# What may hold a secret, by the key under which it stands.
SECRET_TEXTS: Mapping[str, Callable[[Any], Any]] = {
    "env": _values,
    "httpHeaders": _values,
    "command": lambda given: [_masked(given[0]), *_words(given[1:])],  # the program's name
    "args": _words,
    "httpGet": lambda given: {**_masked(given), "path": _QUERY.sub(f"?{MASK}", given.get("path", "/"))},
    "annotations": lambda given: dict.fromkeys(given, MASK),
    "volumeAttributes": lambda given: dict.fromkeys(given, MASK),
}


def _marked(metadata: Mapping[str, Any], launch: Launch) -> Tree:
    return {
        "labels": {**metadata.get("labels", {}), **launch.labels},
        "annotations": {**metadata.get("annotations", {}), **launch.annotations},
    }


def _env(given: list[Tree], added: Mapping[str, str]) -> list[Tree]:
    """Each of ours where the one stands that it replaces, else first: a value's `$(NAME)` is one that stands before it."""
    left = {name: {"name": name, "value": value} for name, value in added.items()}
    kept = [left.pop(e["name"], e) for e in given if e["name"] not in added or e["name"] in left]
    return [*left.values(), *kept]
