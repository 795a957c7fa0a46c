"""What a person does in Dagster's UI, by the same GraphQL that its pages send; and what its pages then show."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar
from urllib.parse import urlsplit

import dagster as dg
import psycopg
from dagster_graphql import DagsterGraphQLClient
from psycopg.conninfo import make_conninfo

from backfill_pipeline.clients.dagster import BackfillState, DagsterClient
from backfill_pipeline.domain.windows import Window
from backfill_pipeline_tests.live import Live

T = TypeVar("T")
LOCATION, REPOSITORY = "backfill_pipeline", "__repository__"
DEADLINE = 600  # a busy machine: a backfill alone waits a minute for the daemon


def eventually(what: str, ask: Callable[[], T | None], *, seconds: float = DEADLINE) -> T:
    """The first answer that is not None or False."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(1)
    return answer


def key(cluster: str, customer: str, dataset: str = "conversations") -> tuple[str, str, str]:
    return (dataset, cluster, customer)


@dataclass(frozen=True)
class Ui:
    live: Live
    _instance: list[dg.DagsterInstance] = field(default_factory=list)

    @property
    def client(self) -> DagsterClient:
        return DagsterClient(self.live.state.dagster_url or "")

    def ask(self, query: str, **variables: Any) -> Any:
        address = urlsplit(self.live.state.dagster_url or "")
        return DagsterGraphQLClient(address.hostname or "", port_number=address.port)._execute(query, variables)

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The stack's, made once: a wait asks it again and again."""
        if not self._instance:
            self._instance.append(dg.DagsterInstance.get())
        yield self._instance[0]

    def backfilled(self, keys: list[tuple[str, ...]], window: Window) -> BackfillState:
        """Launch a partition backfill of these assets and wait until it is over."""
        backfill_id = self.client.launch_backfill(keys, window, title="test")
        return self.over(backfill_id)

    def over(self, backfill_id: str) -> BackfillState:
        return self.client.wait(backfill_id, deadline_seconds=DEADLINE, poll_seconds=1)

    def rerun_from_failure_on_run_page(self, run_id: str) -> str:
        """The run page's button; returns the new run's id."""
        parameters = {"parentRunId": run_id, "strategy": "FROM_FAILURE"}
        return str(self.ask(_RUN_PAGE, params=parameters)["launchRunReexecution"]["run"]["runId"])

    def failed_partitions(self, asset: tuple[str, ...]) -> list[str]:
        """What the asset's page offers as 'failed partitions'."""
        node = self.ask(_STATUSES, key={"path": list(asset)})["assetNodeOrError"]["assetPartitionStatuses"]
        ranges = [r for r in node["ranges"] if r["status"] == "FAILED"]
        return [str(d) for r in ranges for d in _days(r["startKey"], r["endKey"])]

    def run_over(self, run_id: str) -> dg.DagsterRunStatus:
        def status() -> dg.DagsterRunStatus | None:
            with self.instance() as instance:
                run = instance.get_run_by_id(run_id)
            return run.status if run and run.is_finished else None

        return eventually(f"run {run_id}", status)

    def runs(self, **tags: str) -> list[dg.DagsterRun]:
        with self.instance() as instance:
            return list(instance.get_runs(dg.RunsFilter(tags=tags)))

    def steps_of(self, run_id: str) -> set[str]:
        """Names of the run's ops that succeeded, without the asset's own prefix."""
        with self.instance() as instance:
            events = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)
        return {str(e.step_key).split(".")[-1].split("_")[0] for e in events}

    def failure_text(self, run_id: str) -> str:
        with self.instance() as instance:
            events = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        return "\n".join(str(e.dagster_event.step_failure_data.error_display_string) for e in events if e.dagster_event)

    def materialized_by(self, run_id: str) -> list[str]:
        with self.instance() as instance:
            events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        return sorted(str(e.dagster_event.partition) for e in events if e.dagster_event)

    def inserts_of(self, run_id: str) -> int:
        """By how many transactions the run's materializations were stored."""
        query = "SELECT count(DISTINCT xmin::text) FROM event_logs WHERE run_id = %s AND dagster_event_type = %s"
        with psycopg.connect(_storage()) as connection:
            found = connection.execute(query, [run_id, dg.DagsterEventType.ASSET_MATERIALIZATION.value]).fetchone()
        assert found
        return int(found[0])

    def verdict(self, asset: tuple[str, ...], check: str, day: date) -> bool | None:
        """The newest evaluation of a check for a day: passed, failed, or None for none."""
        with self.instance() as instance:
            records = instance.event_log_storage.get_asset_check_execution_history(
                dg.AssetCheckKey(dg.AssetKey(list(asset)), check), limit=100
            )
        for record in records:
            evaluation = record.evaluation
            if isinstance(evaluation, dg.AssetCheckEvaluation) and evaluation.partition == str(day):
                return evaluation.passed
        return None

    def shown(self, asset: tuple[str, ...], check: str, day: date) -> str | None:
        """What the asset's page shows of a check's day; None, nothing."""
        checks = self.ask(_CHECKS, key={"path": list(asset)})["assetNodeOrError"]["assetChecksOrError"]["checks"]
        (ranges,) = (c["partitionStatuses"]["ranges"] for c in checks if c["name"] == check)
        return next((str(r["status"]) for r in ranges if r["startKey"] <= str(day) <= r["endKey"]), None)

    @contextmanager
    def sensor_on(self, name: str) -> Iterator[None]:
        started = self.ask(_START_SENSOR, selector=_selector("sensorName", name))["startSensor"]
        assert started["__typename"] == "Sensor", started
        try:
            yield
        finally:
            self.stop_sensor(name)

    def stop_sensor(self, name: str) -> None:
        """Off, and staying off: a tick that ends just then writes back the RUNNING that it had read (Dagster's issue 7736)."""
        eventually(f"sensor {name} off", lambda: self._is_off(name) and not time.sleep(2) and self._is_off(name))

    def _is_off(self, name: str) -> bool:
        """Whether the sensor is off and no tick of it is under way; stops it if it is on."""
        sensor = self.ask(_SENSOR, selector=_selector("sensorName", name))["sensorOrError"]
        state = sensor["sensorState"]
        if state["status"] == "RUNNING":
            stopped = self.ask(_STOP_SENSOR, id=sensor["id"])["stopSensor"]
            assert stopped["__typename"] == "StopSensorMutationResult", stopped
            return False
        return all(t["status"] != "STARTED" for t in state["ticks"])

    @contextmanager
    def schedule_on(self, name: str) -> Iterator[None]:
        found = self.ask(_START_SCHEDULE, selector=_selector("scheduleName", name))["startSchedule"]["scheduleState"]
        try:
            yield
        finally:
            self.ask(_STOP_SCHEDULE, id=found["id"])

    def stop_schedule(self, name: str) -> None:
        with self.schedule_on(name):
            pass


def _storage() -> str:
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "DATABASE"}
    return make_conninfo(**{k: os.environ[f"DAGSTER_PG_{v}"] for k, v in names.items()})


def _days(first: str, last: str) -> list[date]:
    from backfill_pipeline.domain.windows import from_inclusive_days, parse_day

    return list(from_inclusive_days(parse_day(first), parse_day(last)).days)


def _selector(kind: str, name: str) -> dict[str, str]:
    return {"repositoryLocationName": LOCATION, "repositoryName": REPOSITORY, kind: name}


_RUN_PAGE = """
mutation Rerun($params: ReexecutionParams!) {
  launchRunReexecution(reexecutionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""
_STATUSES = """
query Statuses($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode { assetPartitionStatuses {
      ... on TimePartitionStatuses { ranges { status startKey endKey } } } }
  }
}
"""
_CHECKS = """
query Checks($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode { assetChecksOrError { ... on AssetChecks { checks { name partitionStatuses {
      ... on AssetCheckTimePartitionStatuses { ranges { status startKey endKey } } } } } } }
  }
}
"""
_START_SENSOR = """
mutation Start($selector: SensorSelector!) {
  startSensor(sensorSelector: $selector) { __typename ... on Sensor { id } ... on PythonError { message } }
}
"""
_SENSOR = """
query Sensor($selector: SensorSelector!) {
  sensorOrError(sensorSelector: $selector) {
    ... on Sensor { id sensorState { status ticks(limit: 1) { status } } }
  }
}
"""
_STOP_SENSOR = "mutation Stop($id: String!) { stopSensor(id: $id) { __typename } }"
_START_SCHEDULE = """
mutation Start($selector: ScheduleSelector!) {
  startSchedule(scheduleSelector: $selector) {
    __typename ... on ScheduleStateResult { scheduleState { id } } ... on PythonError { message }
  }
}
"""
_STOP_SCHEDULE = "mutation Stop($id: String!) { stopRunningSchedule(id: $id) { __typename } }"
