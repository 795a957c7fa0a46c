"""What all models of the configuration share: their strictness, their small types, their error."""

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

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
Seconds = Annotated[int, Field(gt=0)]


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


def missing_variable(name: str) -> ConfigError:
    return ConfigError(
        f"The environment variable {name} is not set",
        where="environment",
        why="the configuration needs it",
        next_step=f"export {name}=...",
    )
