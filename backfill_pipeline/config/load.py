"""A file -> the configuration, with errors that name file, line and key."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from backfill_pipeline.config.base import ConfigError, missing_variable, read, unreadable
from backfill_pipeline.config.models import Config
from backfill_pipeline.config.older_form import from_older_form
from backfill_pipeline.config.strict_yaml import StrictLoader, said_of

ENV_CONFIG = "BACKFILL_CONFIG"


def load(path: str | Path, *, need_secrets: bool = True) -> Config:
    """The configuration of a file.

    Args:
        path: YAML or JSON.
        need_secrets: also check that every variable or file that it names for a secret is there.

    Raises:
        ConfigError: naming file, line and key, and what was expected there.
    """
    path = Path(path)
    text = read(path)
    tree = _parsed(path, text)
    try:
        config = Config.model_validate(from_older_form(tree))
    except ValidationError as error:
        raise _all_named(path, text, error) from None
    if need_secrets:
        check_secrets(path, config)
    return config


def check_secrets(path: Path, config: Config) -> None:
    """Whether every variable or file that the configuration names for a secret is there.

    Raises:
        ConfigError: naming all that are not, each with file, line and key.
    """
    missing = [((*place, key), lack) for place, secret in config.secrets() for key, lack in secret.lacks()]
    if missing:
        text = read(path)
        raise _secrets_missing([said_of(path, text, place, lack) for place, lack in missing])


def load_from_environment() -> Config:
    """The file that `BACKFILL_CONFIG` names.

    Raises:
        ConfigError: the variable is not set, or what `load` raises.
    """
    if ENV_CONFIG not in os.environ:
        raise missing_variable(ENV_CONFIG)
    return load(os.environ[ENV_CONFIG])


def _parsed(path: Path, text: str) -> Any:
    try:
        tree = yaml.load(text, Loader=StrictLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise unreadable(f"{path}{line}", str(getattr(error, "problem", error))) from None
    except RecursionError:
        raise unreadable(str(path), "it is nested too deeply") from None
    if not isinstance(tree, dict):
        raise unreadable(f"{path}:1", "expected a mapping with `clusters`")
    return tree


def _secrets_missing(found: list[str]) -> ConfigError:
    return ConfigError(
        f"The configuration names {len(found)} secret{'s' * (len(found) > 1)} that can't be had here",
        where="; ".join(found),
        why="what is not there is never taken for an empty password",
        next_step="export these variables and put these files in place",
    )


def _all_named(path: Path, text: str, error: ValidationError) -> ConfigError:
    found = [said_of(path, text, e["loc"], _expected(e)) for e in error.errors()]
    return ConfigError(
        f"The configuration has {len(found)} mistake{'s' * (len(found) > 1)}",
        where="; ".join(found),
        why="it does not fit the model",
        next_step="correct these keys; config.example.yaml shows all that there are",
    )


def _expected(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key"
    if error["type"] == "model_type":
        return "expected a mapping of keys to values"
    return str(error["msg"]).removeprefix("Value error, ")
