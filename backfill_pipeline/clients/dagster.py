"""Dagster's GraphQL, as its own pages ask it: backfills, runs, pools.

By the standard library: Dagster's own client costs a second of imports, which everybody who types a command would wait for.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from backfill_pipeline.clients import dagster_queries as queries
from backfill_pipeline.clients.dagster_errors import answered, away
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline.domain.retrying import TICKS, Sensor, Tick
from backfill_pipeline.domain.windows import Window, from_inclusive_days, parse_day

WAITS = ("QUEUED", "NOT_STARTED", "MANAGED")
WORKS = ("STARTING", "STARTED", "CANCELING")
BAD = ("FAILURE", "CANCELED")
ENDED = ("SUCCESS", *BAD)
CALL_SECONDS = 60.0
_PAGE = 1000
_ENDED_AT_ONCE = 20  # the webserver asks each run's process, one after the other, before it answers


@dataclass(frozen=True)
class BackfillState:
    """A backfill as its page shows it; runs: run id -> status."""

    backfill_id: str
    status: str
    error: str
    runs: Mapping[str, str]

    @property
    def is_over(self) -> bool:
        return self.status not in ("REQUESTED", "CANCELING", "FAILING")

    @property
    def is_good(self) -> bool:
        """Over, with every run a success."""
        return self.status in ("COMPLETED", "COMPLETED_SUCCESS") and set(self.runs.values()) <= {"SUCCESS"}


@dataclass(frozen=True)
class RunState:
    """A run as Dagster's list shows it; keys: its assets."""

    run_id: str
    status: str
    keys: frozenset[tuple[str, ...]]
    tags: Mapping[str, str]
    started: float | None

    @property
    def waits(self) -> bool:
        return self.status in WAITS


@dataclass(frozen=True)
class Unfinished:
    """A backfill that is not over; launched: seconds since the epoch.

    days: of its gate, which are those of all its assets together; an asset may have fewer (see `targeted`). None where it
    has none to tell.
    newest: assets of its newest run; none where it has no run yet.
    """

    backfill_id: str
    title: str
    launched: float
    keys: frozenset[tuple[str, ...]]
    days: frozenset[date] | None
    newest: frozenset[tuple[str, ...]] = frozenset()


def _keys(selection: Sequence[Mapping[str, Any]] | None) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(k["path"]) for k in selection or ())


def _run_state(found: Mapping[str, Any]) -> RunState:
    tags = {t["key"]: t["value"] for t in found["tags"]}
    return RunState(found["id"], found["status"], _keys(found["assetSelection"]), tags, found["startTime"])


def _root_days(backfill: Mapping[str, Any]) -> frozenset[date] | None:
    return _days((backfill["assetBackfillData"] or {}).get("rootTargetedPartitions"))


def _days(target: Mapping[str, Any] | None) -> frozenset[date] | None:
    """None also where the partitions are no days: they are somebody else's."""
    if not target:
        return None
    ranges = [(r["start"], r["end"]) for r in target["ranges"] or ()] or [(k, k) for k in target["partitionKeys"] or ()]
    try:
        windows = [from_inclusive_days(parse_day(first), parse_day(last)) for first, last in ranges]
    except Refused:
        return None
    return frozenset(d for window in windows for d in window.days) or None


def _newest(backfill: Mapping[str, Any]) -> frozenset[tuple[str, ...]]:
    return frozenset(k for run in backfill["runs"] for k in _keys(run["assetSelection"]))


def _tick(found: Mapping[str, Any]) -> Tick:
    error = found["error"] or {"message": "it says nothing"}
    causes = error.get("causes") or [error]  # Dagster's own error says only that the sensor failed
    status = found["status"]
    said = causes[0]["message"] if status == "FAILURE" else None
    return Tick(datetime.fromtimestamp(found["timestamp"], UTC), status != "STARTED", said)


def _range(window: Window) -> dict[str, str]:
    return {"start": str(window.days[0]), "end": str(window.days[-1])}


def _graphql(text: bytes) -> Mapping[str, Any]:
    """
    Raises:
        ValueError: it is another page, such as one that asks for a login.
    """
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict) or "data" not in body or not (body["data"] or body.get("errors")):
        raise ValueError("what answers there is not Dagster's GraphQL")
    return body


class DagsterClient:
    """GraphQL of a running webserver, as its own pages use it."""

    def __init__(self, url: str, *, seconds: float = CALL_SECONDS) -> None:
        """Nothing is asked before the first call. seconds: for each answer."""
        self._url, self._seconds, self._where = url.rstrip("/"), seconds, f"Dagster {url}"

    def launch_backfill(
        self, keys: Iterable[Sequence[str]], window: Window, *, title: str, tags: Mapping[str, str] | None = None
    ) -> str:
        """Launch one partition backfill of these assets over the window's days; returns its id.

        Raises:
            PipelineError: Dagster is away, or refuses it (the message is its own).
        """
        parameters = {
            "assetSelection": [{"path": list(k)} for k in keys],
            "partitionNames": [str(d) for d in window.days],
            "title": title,
            "tags": [{"key": k, "value": v} for k, v in (tags or {}).items()],
        }
        return self._launched(queries.LAUNCH, "launchPartitionBackfill", {"params": parameters})

    def launch_days(
        self, days: Mapping[Sequence[str], Sequence[Window]], *, title: str, tags: Mapping[str, str] | None = None
    ) -> str:
        """One backfill in which each asset has days of its own; returns its id.

        Args:
            days: asset key -> its windows.

        Raises:
            PipelineError: as `launch_backfill`.
        """
        parameters = {
            "partitionsByAssets": [
                {"assetKey": {"path": list(key)}, "partitions": {"ranges": [_range(w) for w in windows]}}
                for key, windows in days.items()
            ],
            "title": title,
            "tags": [{"key": k, "value": v} for k, v in (tags or {}).items()],
        }
        return self._launched(queries.LAUNCH, "launchPartitionBackfill", {"params": parameters})

    def unfinished_runs(self) -> tuple[RunState, ...]:
        """Every run that waits or works, newest first."""
        return self._runs({"statuses": [*WAITS, *WORKS]})

    def bad_runs(self, backfill_id: str) -> tuple[RunState, ...]:
        """Runs of this backfill that failed or were cancelled, newest first."""
        return self._runs({"statuses": BAD, "tags": [{"key": "dagster/backfill", "value": backfill_id}]})

    def ended_runs(self, backfill_id: str) -> tuple[RunState, ...]:
        """Runs of this backfill that are over, however they ended, newest first."""
        return self._runs({"statuses": ENDED, "tags": [{"key": "dagster/backfill", "value": backfill_id}]})

    def targeted(
        self, backfill_id: str, keys: Iterable[tuple[str, ...]]
    ) -> Mapping[tuple[str, ...], frozenset[date] | None]:
        """The days that this backfill has of each of these assets of its own; None where Dagster can't tell.

        One question for all of them.
        """
        asked = sorted(keys)
        variables = {"id": backfill_id, **{f"k{n}": {"path": list(key)} for n, key in enumerate(asked)}}
        found = self._ask(queries.targeted(len(asked)), "partitionBackfillOrError", variables)
        return {key: _days(found[f"a{n}"]) for n, key in enumerate(asked)}

    def _runs(self, which: Mapping[str, Any]) -> tuple[RunState, ...]:
        found: list[RunState] = []
        while True:
            cursor = found[-1].run_id if found else None
            asked = {"filter": which, "cursor": cursor, "limit": _PAGE}
            page = self._results(queries.RUNS, "runsOrError", asked)
            found += [_run_state(r) for r in page]
            if len(page) < _PAGE:
                return tuple(found)

    def unfinished_backfills(self) -> tuple[Unfinished, ...]:
        """Every backfill that is not over, newest first."""
        found = self._results(queries.BACKFILLS, "partitionBackfillsOrError", {"limit": _PAGE})
        return tuple(
            Unfinished(
                *(b["id"], b["title"] or "", b["timestamp"], _keys(b["assetSelection"]), _root_days(b)),
                newest=_newest(b),
            )
            for b in found
        )

    def sensor(self, name: str) -> Sensor | None:
        """The sensor of that name with its newest ticks, in whatever code location it is; None where there is none."""
        found = self._ask(queries.REPOSITORIES, "repositoriesOrError", {})
        for node in found["nodes"]:
            if name in (s["name"] for s in node["sensors"]):
                return self._sensor(node["location"]["name"], node["name"], name)
        return None

    def _sensor(self, location: str, repository: str, name: str) -> Sensor | None:
        selector = {"repositoryLocationName": location, "repositoryName": repository, "sensorName": name}
        found = self._ask(queries.SENSOR, "sensorOrError", {"selector": selector, "limit": TICKS})
        if found["__typename"] == "SensorNotFoundError":
            return None
        state = found["sensorState"]
        return Sensor(state["status"] == "RUNNING", tuple(map(_tick, state["ticks"])))

    def terminate(self, run_ids: Sequence[str]) -> Mapping[str, str]:
        """Ask these runs to end; run id -> why it could not be asked."""
        parts = (run_ids[at : at + _ENDED_AT_ONCE] for at in range(0, len(run_ids), _ENDED_AT_ONCE))
        return {run_id: why for part in parts for run_id, why in self._terminated(part)}

    def _terminated(self, run_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        answer = self._ask(queries.TERMINATE, "terminateRuns", {"ids": list(run_ids)})
        for run_id, r in zip(run_ids, answer["terminateRunResults"], strict=True):  # a failed one may lack its id
            if r["__typename"] != "TerminateRunSuccess":
                yield run_id, str(r.get("message") or r["__typename"])

    def cancel_backfill(self, backfill_id: str) -> None:
        """It launches nothing more, and its runs are asked to end."""
        self._ask(queries.CANCEL, "cancelPartitionBackfill", {"id": backfill_id})

    def set_pool_limit(self, pool: str, limit: int) -> None:
        """0: whatever needs the pool waits in the queue."""
        self._ask(queries.SET_POOL, "setConcurrencyLimit", {"pool": pool, "limit": limit})

    def _results(self, query: str, field: str, variables: Mapping[str, Any]) -> list[dict[str, Any]]:
        return list(self._ask(query, field, variables)["results"])

    def reexecute_failed(self, backfill_id: str) -> str:
        """The backfill page's 're-execute from failure': exactly its failed days, with all steps."""
        parameters = {"parentRunId": backfill_id, "strategy": "FROM_FAILURE"}
        return self._launched(queries.REEXECUTE, "reexecutePartitionBackfill", {"params": parameters})

    def backfill(self, backfill_id: str) -> BackfillState:
        found = self._ask(queries.BACKFILL, "partitionBackfillOrError", {"id": backfill_id})
        runs = {r["id"]: r["status"] for r in found["runs"]}
        error = (found.get("error") or {}).get("message", "")
        return BackfillState(found["id"], found["status"], error, runs)

    def wait(
        self,
        backfill_id: str,
        *,
        deadline_seconds: float,
        on_poll: Callable[[BackfillState], None] = lambda _: None,
        poll_seconds: float = 1.0,
    ) -> BackfillState:
        """The backfill once it is over.

        Raises:
            PipelineError: RETRY, it is not over at the deadline; it goes on.
        """
        end = time.monotonic() + deadline_seconds
        while not (state := self.backfill(backfill_id)).is_over:
            on_poll(state)
            if time.monotonic() > end:
                raise self.not_over(state, deadline_seconds)
            time.sleep(poll_seconds)
        on_poll(state)
        return state

    def _launched(self, query: str, field: str, variables: Mapping[str, Any]) -> str:
        return str(self._ask(query, field, variables)["backfillId"])

    def _ask(self, query: str, field: str, variables: Mapping[str, Any]) -> Any:
        """What stands in this field, which is the only one that the query asks for.

        Raises:
            PipelineError: UNREACHABLE, nobody answers, or somebody who is not Dagster; else as `answered`.
        """
        body = json.dumps({"query": query, "variables": dict(variables)}).encode()
        request = Request(f"{self._url}/graphql", body, {"Content-Type": "application/json"})
        try:
            said = self._body(request)
        except (OSError, HTTPException, ValueError) as error:
            raise away(self._where, error) from error
        return answered(self._where, field, said)

    def _body(self, request: Request) -> Mapping[str, Any]:
        """Also that of an answer with HTTP's 400 or 500: there Dagster says what went wrong."""
        try:
            with urlopen(request, timeout=self._seconds) as answer:
                return _graphql(answer.read())
        except HTTPError as error:
            try:
                return _graphql(error.read())
            except ValueError:
                raise error from None

    def not_over(self, state: BackfillState, seconds: float) -> PipelineError:
        """For whoever waits for it by asking `backfill` again and again."""
        return PipelineError(
            "The backfill is not over",
            where=f"{self._where}/runs/b/{state.backfill_id}",
            why=f"{state.status} after {seconds:.0f} s",
            next_step="it goes on; look at its page",
            kind=Kind.RETRY,
        )
