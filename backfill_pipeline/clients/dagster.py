"""Dagster's instance and GraphQL: what must be mended before its daemon starts, and backfills launched as the UI does."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import psutil
from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

from backfill_pipeline.clients import dagster_queries as queries
from backfill_pipeline.config import Config
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.naming import cluster_pool, customer_pool
from backfill_pipeline.domain.windows import Window

UNFINISHED = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
UNFINISHED_STATUSES = ["QUEUED", "NOT_STARTED", "MANAGED", "STARTING", "STARTED", "CANCELING"]
_PAGE = 1000


def prepare_instance(config: Config, paused: Collection[str] = ()) -> None:
    """Before the daemon starts: fail runs whose process is gone, and set every pool's limit.

    Args:
        paused: clusters on which nothing may start.

    Without the first they stay STARTED for ever and keep their pools (dagster-facts, 12); without the second a changed limit
    never reaches an existing pool.
    """
    with dg.DagsterInstance.get() as instance:
        fail_dead_runs(instance)
        set_pool_limits(instance, config, paused)


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report every unfinished run whose process is gone as failed; returns their ids."""
    dead = [
        r.dagster_run
        for r in instance.get_run_records(dg.RunsFilter(statuses=list(UNFINISHED)), limit=_PAGE)
        if not process_is_alive(instance, r.dagster_run)
    ]
    for run in dead:
        instance.report_run_failed(run, "its process was gone when the stack started: rerun the failed days")
    return [r.run_id for r in dead]


def process_is_alive(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the process of this machine that said it works on the run is still the same one."""
    for event in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        pid = event.dagster_event.engine_event_data.metadata.get("pid") if event.dagster_event else None
        if pid and psutil.pid_exists(int(str(pid.value))):
            return bool(psutil.Process(int(str(pid.value))).create_time() <= event.timestamp)
    return False


def set_pool_limits(instance: dg.DagsterInstance, config: Config, paused: Collection[str] = ()) -> None:
    for pool, limit in pools(config, paused):
        instance.event_log_storage.set_concurrency_slots(pool, limit)


def pools(config: Config, paused: Collection[str] = ()) -> Sequence[tuple[str, int]]:
    """Every pool with its limit: runs at once per cluster, and one per customer over all its datasets."""
    clusters = [(cluster_pool(c.name), 0 if c.name in paused else c.max_runs) for c in config.clusters]
    customers = [(customer_pool(c.name, u.id), 1) for c in config.clusters for u in c.customers]
    return [*clusters, *customers]


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


@dataclass(frozen=True)
class RunState:
    """A run as Dagster's list shows it; keys: its assets."""

    run_id: str
    status: str
    keys: frozenset[tuple[str, ...]]
    tags: Mapping[str, str]
    started: float | None


@dataclass(frozen=True)
class Unfinished:
    """A backfill that is not over; launched: seconds since the epoch."""

    backfill_id: str
    title: str
    launched: float
    keys: frozenset[tuple[str, ...]]


def _keys(selection: Sequence[Mapping[str, Any]] | None) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(k["path"]) for k in selection or ())


def _run_state(found: Mapping[str, Any]) -> RunState:
    tags = {t["key"]: t["value"] for t in found["tags"]}
    return RunState(found["id"], found["status"], _keys(found["assetSelection"]), tags, found["startTime"])


def _range(window: Window) -> dict[str, str]:
    return {"start": str(window.days[0]), "end": str(window.days[-1])}


class DagsterClient:
    """GraphQL of a running webserver, as its own pages use it."""

    def __init__(self, host: str, port: int, *, secure: bool = False) -> None:
        self._where = f"Dagster http{'s' if secure else ''}://{host}:{port}"
        try:
            self._client = DagsterGraphQLClient(host, port_number=port, timeout=60, use_https=secure)
        except (DagsterGraphQLClientError, OSError) as error:
            raise self._away(error) from error

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
        found: list[RunState] = []
        while True:
            cursor = found[-1].run_id if found else None
            asked = {"statuses": UNFINISHED_STATUSES, "cursor": cursor, "limit": _PAGE}
            page = self._results(queries.RUNS, "runsOrError", asked)
            found += [_run_state(r) for r in page]
            if len(page) < _PAGE:
                return tuple(found)

    def unfinished_backfills(self) -> tuple[Unfinished, ...]:
        """Every backfill that is not over, newest first."""
        found = self._results(queries.BACKFILLS, "partitionBackfillsOrError", {"limit": _PAGE})
        return tuple(Unfinished(b["id"], b["title"] or "", b["timestamp"], _keys(b["assetSelection"])) for b in found)

    def terminate(self, run_ids: Sequence[str]) -> Mapping[str, str]:
        """Ask these runs to end; run id -> why it could not be asked."""
        answer = self._ask(queries.TERMINATE, {"ids": list(run_ids)})["terminateRuns"]
        if "terminateRunResults" not in answer:
            raise self._refused(answer)
        results = answer["terminateRunResults"]
        return {
            str((r.get("run") or {}).get("id") or r.get("runId")): str(r.get("message") or r["__typename"])
            for r in results
            if r["__typename"] != "TerminateRunSuccess"
        }

    def cancel_backfill(self, backfill_id: str) -> None:
        """It launches nothing more, and its runs are asked to end."""
        answer = self._ask(queries.CANCEL, {"id": backfill_id})["cancelPartitionBackfill"]
        if answer["__typename"] != "CancelBackfillSuccess":
            raise self._refused(answer)

    def set_pool_limit(self, pool: str, limit: int) -> None:
        """0: whatever needs the pool waits in the queue."""
        self._ask(queries.SET_POOL, {"pool": pool, "limit": limit})

    def _results(self, query: str, field: str, variables: Mapping[str, Any]) -> list[dict[str, Any]]:
        answer = self._ask(query, variables)[field]
        if "results" not in answer:
            raise self._refused(answer)
        return list(answer["results"])

    def reexecute_failed(self, backfill_id: str) -> str:
        """The backfill page's 're-execute from failure': exactly its failed days, with all steps."""
        parameters = {"parentRunId": backfill_id, "strategy": "FROM_FAILURE"}
        return self._launched(queries.REEXECUTE, "reexecutePartitionBackfill", {"params": parameters})

    def backfill(self, backfill_id: str) -> BackfillState:
        found = self._ask(queries.BACKFILL, {"id": backfill_id})["partitionBackfillOrError"]
        if found["__typename"] != "PartitionBackfill":
            raise self._refused(found)
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
                raise self._not_over(state, deadline_seconds)
            time.sleep(poll_seconds)
        on_poll(state)
        return state

    def _launched(self, query: str, field: str, variables: Mapping[str, Any]) -> str:
        answer = self._ask(query, variables)[field]
        if "backfillId" not in answer:
            raise self._refused(answer)
        return str(answer["backfillId"])

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return dict(self._client._execute(query, dict(variables)))  # the public calls know no backfills
        except (DagsterGraphQLClientError, OSError) as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> PipelineError:
        return PipelineError(
            "Dagster's webserver does not answer",
            where=self._where,
            why=" ".join(str(error).split())[:300],
            next_step="start it (`make stack`), then try again",
            kind=Kind.UNREACHABLE,
        )

    def _refused(self, answer: Mapping[str, Any]) -> PipelineError:
        return PipelineError(
            "Dagster refuses the backfill",
            where=self._where,
            why=f"{answer.get('__typename')}: {answer.get('message', '')}"[:500],
            next_step="correct the selection; the asset's page shows which days there are",
        )

    def _not_over(self, state: BackfillState, seconds: float) -> PipelineError:
        return PipelineError(
            "The backfill is not over",
            where=f"{self._where}/runs/b/{state.backfill_id}",
            why=f"{state.status} after {seconds:.0f} s",
            next_step="it goes on; look at its page",
            kind=Kind.RETRY,
        )
