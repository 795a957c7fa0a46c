"""The generated password of the embedded databases: in a file that only its owner reads, handed on by environment."""

import os
import secrets
from pathlib import Path

ENV_PASSWORD = "BACKFILL_STACK_PG_PASSWORD"
FILE = "postgres.password"


def ensure_password(folder: Path) -> str:
    """The stack's password, made at the first start (file mode 0600)."""
    path = folder / FILE
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(24))
    return path.read_text(encoding="utf-8")


def _write_private(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.rename(path)  # in one step: a start that was killed leaves no empty password
