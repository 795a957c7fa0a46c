"""What waits and works in Dagster, asked over GraphQL without Dagster's own packages: their import alone takes a second."""

import json
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any
from urllib.request import Request, urlopen

from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.retries import Of
from backfill_pipeline.domain.status import DagsterRun

QUEUED = ("QUEUED", "NOT_STARTED")
AT_WORK = ("STARTING", "STARTED", "CANCELING")
PAGE = 1000
_QUERY = """
query Unfinished($statuses: [RunStatus!], $cursor: String, $limit: Int) {
  runsOrError(filter: {statuses: $statuses}, cursor: $cursor, limit: $limit) {
    __typename
    ... on Runs { results { runId status assetSelection { path } } }
    ... on PythonError { message }
    ... on InvalidPipelineRunsFilterError { message }
  }
}
"""


def unfinished_runs(url: str, *, seconds: float) -> tuple[DagsterRun, ...]:
    """Runs that wait or work, and of which datasets' assets they are.

    Args:
        seconds: for each page of the answer.

    Raises:
        PipelineError: UNREACHABLE, it does not answer, or not as Dagster does.
    """
    return tuple(_run(each) for each in _pages(url, seconds))


def _pages(url: str, seconds: float) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        variables = {"statuses": [*QUEUED, *AT_WORK], "cursor": cursor, "limit": PAGE}
        page = _asked(url, {"query": _QUERY, "variables": variables}, seconds)
        yield from page
        if len(page) < PAGE:
            return
        cursor = page[-1]["runId"]


def _asked(url: str, question: dict[str, Any], seconds: float) -> list[dict[str, Any]]:
    try:
        body = json.dumps(question).encode()
        request = Request(f"{url.rstrip('/')}/graphql", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=seconds) as answer:
            found = json.load(answer)["data"]["runsOrError"]
        return list(found["results"]) if found["__typename"] == "Runs" else _refused(found)
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
        raise _away(url, error) from error


def _refused(answer: dict[str, Any]) -> list[dict[str, Any]]:
    raise ValueError(f"{answer['__typename']}: {answer.get('message', '')}")


def _run(found: dict[str, Any]) -> DagsterRun:
    paths = [key["path"] for key in found["assetSelection"] or ()]
    assets = [Of(path[1], path[2], path[0]) for path in paths if len(path) == 3 and path[0] in DATASETS]
    return DagsterRun(found["runId"], found["status"] in QUEUED, tuple(assets))


def _away(url: str, error: Exception) -> PipelineError:
    return PipelineError(
        "Dagster's webserver does not answer",
        where=f"Dagster {url}",
        why=" ".join(str(error).split())[:300] or type(error).__name__,
        next_step="check that it runs there and that the address is right",
        kind=Kind.UNREACHABLE,
    )
