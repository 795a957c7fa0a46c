"""What ops get from outside: the cluster's systems, and the IO manager that keeps step records in PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import TypeAdapter

from backfill_pipeline.config import Config
from backfill_pipeline.defs.telling import telling
from backfill_pipeline.steps.systems import Systems, open_ledger, open_systems
from backfill_pipeline.stores.ledger import Ledger


@dataclass(frozen=True)
class Pipeline:
    """The configuration, and the way to a cluster's systems."""

    config: Config

    @contextmanager
    def systems(self, cluster: str, log: Callable[[str], None]) -> Iterator[Systems]:
        systems = open_systems(self.config, cluster, log)
        try:
            yield systems
        finally:
            systems.close()

    @property
    def ledger(self) -> Ledger:
        return open_ledger(self.config)


class StepRecords(dg.IOManager):
    """Step records as JSON in the ledger, by run and step: a run on another machine finds them too."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._config, self._ledger = pipeline.config, pipeline.ledger

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        if obj is None:
            return
        with telling(context.step_context, self._config):
            self._ledger.write_step(context.run_id, context.step_key, TypeAdapter(type(obj)).dump_json(obj).decode())

    def load_input(self, context: dg.InputContext) -> Any:
        with telling(context.step_context, self._config):
            return self._load(context)

    def _load(self, context: dg.InputContext) -> Any:
        upstream = context.upstream_output
        assert upstream is not None
        record = self._ledger.read_step(upstream.run_id, upstream.step_key)
        if record is None:
            raise dg.Failure(f"run {upstream.run_id} left no record of {upstream.step_key}", allow_retries=False)
        return TypeAdapter(context.dagster_type.typing_type).validate_json(record)
