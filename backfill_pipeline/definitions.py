"""What Dagster loads: configuration in, Definitions out."""

import dagster as dg

from backfill_pipeline.config import Config, load_from_environment
from backfill_pipeline.defs.assets import build
from backfill_pipeline.defs.pauses import pause_jobs
from backfill_pipeline.defs.resources import Pipeline, StepRecords
from backfill_pipeline.defs.retry import retry_sensor
from backfill_pipeline.defs.verification import verification


def definitions_of(config: Config) -> dg.Definitions:
    """All definitions of a configuration; nothing is connected before a run needs it."""
    pipeline, built = Pipeline(config), build(config)
    job, schedule = verification(config, built)
    return dg.Definitions(
        assets=built.assets,
        asset_checks=built.checks,
        jobs=[job, *pause_jobs(config)],
        schedules=[schedule],
        sensors=[retry_sensor(config, built)],
        resources={"pipeline": pipeline, "io_manager": StepRecords(pipeline)},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    return definitions_of(load_from_environment())
