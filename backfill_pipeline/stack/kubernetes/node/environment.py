"""The env of a container, put together as a kubelet does."""

import base64
import re
from collections.abc import Mapping
from typing import Any

from kubernetes import client

from backfill_pipeline.stack.kubernetes.node.api import told

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][\w.-]*)\)")
_OF_META = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


class NoSuchReference(Exception):
    """A Secret, ConfigMap or key that a container's env names is not there."""


def environment(pod: Any, container: Any, given: Mapping[str, str], node: str) -> dict[str, str]:
    """given: what the image sets. Later entries see earlier ones as `$(NAME)`.

    Raises:
        NoSuchReference: names what is missing.
    """
    env = dict(given)
    for source in container.env_from or []:
        env.update(_all_of(source, pod.metadata.namespace))
    for entry in container.env or []:
        found = _value_from(entry.value_from, pod, node) if entry.value_from else expanded(entry.value or "", env)
        if found is not None:
            env[entry.name] = found
    return env


def expanded(text: str, env: Mapping[str, str]) -> str:
    """`$(NAME)` by its value if it has one, `$$` by `$`."""
    return _REFERENCE.sub(lambda m: "$" if m[0] == "$$" else env.get(m[1], m[0]), text)


def _all_of(source: Any, namespace: str) -> dict[str, str]:
    reference = source.config_map_ref or source.secret_ref
    found = _config_map(reference, namespace) if source.config_map_ref else _secret(reference, namespace)
    return {f"{source.prefix or ''}{key}": value for key, value in found.items()}


def _value_from(source: Any, pod: Any, node: str) -> str | None:
    namespace = pod.metadata.namespace
    if source.secret_key_ref:
        return _key_of(_secret(source.secret_key_ref, namespace), source.secret_key_ref)
    if source.config_map_key_ref:
        return _key_of(_config_map(source.config_map_key_ref, namespace), source.config_map_key_ref)
    return _field(source.field_ref.field_path, pod, node)


def _key_of(values: Mapping[str, str], reference: Any) -> str | None:
    if reference.key not in values and not reference.optional:
        raise NoSuchReference(f"couldn't find key {reference.key} in {reference.name}")
    return values.get(reference.key)


def _secret(reference: Any, namespace: str) -> dict[str, str]:
    found = _read(client.CoreV1Api().read_namespaced_secret, "secret", reference, namespace)
    return {key: base64.b64decode(value).decode() for key, value in (found or {}).items()}


def _config_map(reference: Any, namespace: str) -> dict[str, str]:
    return dict(_read(client.CoreV1Api().read_namespaced_config_map, "configmap", reference, namespace) or {})


def _read(read: Any, kind: str, reference: Any, namespace: str) -> dict[str, str] | None:
    found = told(read, reference.name, namespace)
    if found is None and not reference.optional:
        raise NoSuchReference(f'{kind} "{reference.name}" not found')
    return found.data if found else None


def _field(path: str, pod: Any, node: str) -> str:
    meta = pod.metadata
    entry = _OF_META.fullmatch(path)
    if entry:
        return str((getattr(meta, entry[1]) or {}).get(entry[2], ""))
    fields = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "spec.nodeName": node,
        "spec.serviceAccountName": pod.spec.service_account_name,
    }
    return str(fields[path])
