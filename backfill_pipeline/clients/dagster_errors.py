"""What Dagster's answers say where they are no answer: nobody is there, it may not be, it failed, it refuses. Pure."""

from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError, URLError

from backfill_pipeline.domain.errors import Kind, PipelineError

_ASKED = {
    "launchPartitionBackfill": "launch the backfill",
    "reexecutePartitionBackfill": "execute the failed days again",
    "cancelPartitionBackfill": "cancel the backfill",
    "terminateRuns": "end the runs",
    "setConcurrencyLimit": "set the limit of the pool",
    "partitionBackfillOrError": "say how the backfill is",
    "partitionBackfillsOrError": "list the backfills",
    "runsOrError": "list the runs",
    "repositoriesOrError": "list the code locations",
    "sensorOrError": "show the sensor",
}
_ANSWERS = frozenset(
    {
        "LaunchBackfillSuccess", "CancelBackfillSuccess", "TerminateRunsResult", "PartitionBackfill",
        "PartitionBackfills", "Runs", "RepositoryConnection", "Sensor", "SensorNotFoundError",
    }
)  # fmt: skip
_OF_THE_SELECTION = frozenset(
    {
        "InvalidSubsetError", "PartitionKeysNotFoundError", "PartitionSetNotFoundError", "PipelineNotFoundError",
        "InvalidStepError", "InvalidOutputError",
    }
)  # fmt: skip
_LONGEST = 500
NO_SUCH_PAGE = (404, 405, 501)  # as a server says that knows no POST to /graphql


def answered(where: str, field: str, body: Mapping[str, Any]) -> Any:
    """The answer in this field of a GraphQL body.

    Raises:
        PipelineError: STOP, Dagster refuses it or does not know the question; RETRY, it failed itself.
    """
    if body.get("errors"):
        raise _of_the_query(where, field, str(body["errors"][0].get("message", "")))
    answer = body["data"][field]
    if isinstance(answer, Mapping) and answer.get("__typename") not in _ANSWERS:
        raise _no_answer(where, field, str(answer.get("__typename")), str(answer.get("message") or ""))
    return answer


def away(where: str, error: Exception) -> PipelineError:
    if isinstance(error, HTTPError) and error.code in NO_SUCH_PAGE:
        return PipelineError(
            "What answers there is no Dagster webserver",
            where=where,
            why=f"it does not know /graphql: {_short(str(error))}",
            next_step="give the address at which Dagster's pages begin",
            kind=Kind.UNREACHABLE,
        )
    return PipelineError(
        "Dagster's webserver does not answer",
        where=where,
        why=_short(str(_cause(error))) or type(error).__name__,
        next_step="check that it runs there and that the address is right",
        kind=Kind.UNREACHABLE,
    )


def _cause(error: Exception) -> object:
    """urllib wraps it in words of its own."""
    return error.reason if type(error) is URLError else error


def _of_the_query(where: str, field: str, message: str) -> PipelineError:
    """Mutations without a union, and unions without such a member, can say what they are told as a broken type alone."""
    for kind in ("UnauthorizedError", "PythonError"):
        if f"Graphene{kind}" in message:
            return _no_answer(where, field, kind, "it says no more" if kind == "PythonError" else "")
    if message.startswith(("Cannot query field", "Unknown ", "Syntax Error")):
        return _unknown_question(where, field, message)
    return _no_answer(where, field, "", message)


def _no_answer(where: str, field: str, kind: str, message: str) -> PipelineError:
    asked = _ASKED.get(field, field)
    if kind == "UnauthorizedError":
        return _not_permitted(where, asked, message)
    if kind in ("PythonError", ""):
        return _failed(where, asked, message)
    is_selection = kind in _OF_THE_SELECTION
    correct = "correct the selection; the asset's page shows which days there are"
    return PipelineError(
        f"Dagster refuses to {asked}",
        where=where,
        why=_short(f"{kind}: {message}"),
        next_step=correct if is_selection else "look at Dagster's page; the webserver's log may say more",
    )


def _failed(where: str, asked: str, message: str) -> PipelineError:
    return PipelineError(
        f"Dagster failed to {asked}",
        where=where,
        why=_short(message),
        next_step="look at the webserver's log and at Dagster's storage; the same may succeed later",
        kind=Kind.RETRY,
    )


def _not_permitted(where: str, asked: str, message: str) -> PipelineError:
    return PipelineError(
        f"Dagster does not permit to {asked}",
        where=where,
        why=_short(message or "Authorization failed") + ": the webserver is read-only, or the account may not",
        next_step="give the address of a webserver that may change things",
    )


def _unknown_question(where: str, field: str, message: str) -> PipelineError:
    return PipelineError(
        f"Dagster does not understand how it is asked to {_ASKED.get(field, field)}",
        where=where,
        why=_short(message),
        next_step="use the version of Dagster that constraints.txt names",
    )


def _short(text: str) -> str:
    """Without the statement that SQLAlchemy shows below its message: nobody who reads this wrote it."""
    return " ".join(text.partition("\n[SQL: ")[0].split())[:_LONGEST].rstrip(".")
