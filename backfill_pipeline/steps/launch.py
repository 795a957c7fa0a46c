"""Step 3: make the plan's first Job, or adopt it if this attempt made it before. The others follow when it is over."""

import time

from backfill_pipeline.domain.plans import Launch
from backfill_pipeline.steps.holding import holding
from backfill_pipeline.steps.records import Inspection, Launched
from backfill_pipeline.steps.systems import Systems


def launch(systems: Systems, inspection: Inspection) -> Launched:
    """One Job per part, however often this step runs: its name is a digest of what identifies the launch (trap K2).

    Raises:
        PipelineError: the CronJob is missing or suspended, or a foreign Job has the name.
    """
    with holding(systems, inspection.attempt, "launch", inspection.launched_by):
        systems.ledger.check_held(inspection.attempt)
        return make_job(systems, inspection.plan.launches[0])


def make_job(systems: Systems, planned: Launch) -> Launched:
    started = time.monotonic()
    handle = systems.launcher.ensure(planned)
    log = systems.launcher.where(handle.name)
    systems.log(f"{'adopted' if handle.adopted else 'launched'} Job {handle.name}; its log: {log}")
    return Launched(handle.name, handle.adopted, log, time.monotonic() - started)
