"""How a cluster is reached: a kubeconfig file, written so that nobody else reads its token."""

import json
import os
from pathlib import Path

CONTEXT = "stack"


def write_kubeconfig(path: Path, server: str, authority: Path, token: str, namespace: str = "default") -> None:
    """A file with one context, named `CONTEXT`; JSON is YAML."""
    tree = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{"name": CONTEXT, "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [
            {"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT, "namespace": namespace}},
        ],
    }
    write_private(path, json.dumps(tree, indent=1).encode())


def write_private(path: Path, content: bytes) -> None:
    """Mode 0600 from its first byte, and in one step: a start that was killed leaves no half of it."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)
    fresh.rename(path)
