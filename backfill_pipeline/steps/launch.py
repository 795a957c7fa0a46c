"""Step 3: make the Job of the plan, or adopt it if this attempt made it before."""

import time

from backfill_pipeline.steps.holding import holding
from backfill_pipeline.steps.records import Inspection, Launched
from backfill_pipeline.steps.systems import Systems


def launch(systems: Systems, inspection: Inspection) -> Launched:
    """One Job per attempt, however often this step runs: its name is a digest of what identifies the launch (trap K2).

    Raises:
        PipelineError: the CronJob is missing or suspended, or a foreign Job has the name.
    """
    started = time.monotonic()
    with holding(systems, inspection.attempt, "launch", inspection.launched_by):
        systems.ledger.check_held(inspection.attempt)
        handle = systems.launcher.ensure(inspection.plan.launch)
    log = systems.launcher.where(handle.name)
    systems.log(f"{'adopted' if handle.adopted else 'launched'} Job {handle.name}; its log: {log}")
    return Launched(handle.name, handle.adopted, log, time.monotonic() - started)
