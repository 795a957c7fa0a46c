"""Kubeconfigs with one context, as a test wants it."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from backfill_pipeline.config import Launcher

CONTEXT = "north"
NOWHERE = "https://127.0.0.1:1"
Tree = dict[str, Any]


def kubeconfig(at: Path, user: Tree | None, cluster: Tree | None = None) -> Path:
    """user: None, the context names one that the file does not have."""
    tree = {
        "clusters": [{"name": "c", "cluster": cluster or {"server": NOWHERE}}],
        "users": [{"name": "u", "user": user}] if user is not None else [],
        "contexts": [{"name": CONTEXT, "context": {"cluster": "c", "user": "u"}}],
    }
    path = at / "kubeconfig"
    path.write_text(yaml.safe_dump(tree))
    return path


def launcher(path: Path, namespace: str = "cron") -> Launcher:
    return Launcher(kind="kubernetes", kubeconfig=path, context=CONTEXT, namespace=namespace)


def plugin(script: str) -> Tree:
    """A user whose credentials come from a program, which is this script."""
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": sys.executable, "args": ["-c", script]}}


def plugin_that_gives(status: Tree) -> Tree:
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    return plugin(f"print({json.dumps(answer)!r})")
