"""What all models of the configuration share: their strictness, their small types, their error."""

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from backfill_pipeline.domain.errors import PipelineError, Refused
from backfill_pipeline.domain.naming import ID_FORM, check_id

EXIT_BAD_INPUT = 2


class ConfigError(PipelineError):
    """The configuration can't be used; the command line ends with exit code 2."""


def _id(text: str) -> str:
    try:
        return check_id(text, "id")
    except Refused:
        raise ValueError(f"expected an id of the form {ID_FORM}") from None


Id = Annotated[str, AfterValidator(_id)]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


M = TypeVar("M", bound=Model)

Host = Annotated[str, Field(pattern=r"^[^@\s]+$")]  # no `user:password@` that would be printed
Variable = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")]  # a secret in its name's place would be printed
PageUrl = Annotated[str, Field(pattern=r"^https?://[^@\s]+$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]


def _number(value: object) -> object:
    """Python takes a boolean for a number, and YAML a word such as `no` for a boolean."""
    if isinstance(value, bool):
        raise ValueError(f"expected a number, found {str(value).lower()}")
    return value


def _path(value: object) -> object:
    """Python takes no path for the current folder."""
    if value == "":
        raise ValueError("expected a path, found an empty one")
    return value


Whole = Annotated[int, BeforeValidator(_number)]
Real = Annotated[float, BeforeValidator(_number)]
Given = Annotated[Path, BeforeValidator(_path)]

# The upper bounds are far above what is of use, and below what Python, Kubernetes, PostgreSQL and Dagster can hold.
_MONTH = 30 * 24 * 3600
Span = Annotated[Real, Field(ge=0, le=_MONTH)]  # in seconds
Seconds = Annotated[Real, Field(ge=0.01, le=_MONTH)]
Timeout = Annotated[Whole, Field(ge=1, le=7 * 24 * 3600)]  # in seconds; as milliseconds PostgreSQL keeps it in 32 bits
Share = Annotated[Real, Field(ge=0, le=1)]
Count = Annotated[Whole, Field(ge=0, le=1_000_000)]
Rows = Annotated[Whole, Field(ge=1, le=10**15)]
Days = Annotated[Whole, Field(ge=1, le=366)]
Port = Annotated[Whole, Field(ge=1, le=65535)]
Context = Annotated[str, Field(pattern=r"^[^-]")]  # of a kubeconfig; kubectl would take a hyphen for an option


def refuse_twice(names: list[str], what: str) -> None:
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f"{what} given twice: {', '.join(twice)}; expected each once")


def named(models: list[M], attribute: str, name: str, what: str) -> M:
    for model in models:
        if getattr(model, attribute) == name:
            return model
    known = ", ".join(str(getattr(m, attribute)) for m in models)
    raise ConfigError(
        f"Unknown {what}", where=repr(name), why=f"the configuration knows {known}", next_step="name one of these"
    )


def read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise unreadable(str(path), error.strerror or str(error), "name a file that is there and may be read") from None
    except UnicodeDecodeError as error:
        raise unreadable(str(path), str(error)) from None


def unreadable(where: str, why: str, next_step: str = "correct the file; see config.example.yaml") -> ConfigError:
    return ConfigError("The configuration can't be read", where=where, why=why, next_step=next_step)


def not_text(name: str) -> ConfigError:
    """Its value is not repeated: it is a secret."""
    return ConfigError(
        f"The environment variable {name} is not UTF-8",
        where="environment",
        why="the servers take secrets as text",
        next_step=f"set {name} again in a terminal that writes UTF-8",
    )


def missing_variable(name: str) -> ConfigError:
    return ConfigError(
        f"The environment variable {name} is not set",
        where="environment",
        why="the configuration needs it",
        next_step=f"export {name}=...",
    )
