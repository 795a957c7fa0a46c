"""Step 3: make the plan's first Job, or adopt it if this attempt made it before. The others follow when it is over."""

import time

from backfill_pipeline.domain.plans import Launch
from backfill_pipeline.steps.cancelled import ended_on_cancel
from backfill_pipeline.steps.holding import holding
from backfill_pipeline.steps.records import Inspection, Launched
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.steps.watched import Watched


def launch(systems: Systems, inspection: Inspection) -> Launched:
    """One Job per part, however often this step runs: its name is a digest of what identifies the launch (trap K2).

    Raises:
        PipelineError: the CronJob is missing or suspended, or a foreign Job has the name.
    """
    attempt, planned = inspection.attempt, inspection.plan.launches[0]
    watched = Watched(attempt.parts[0], planned.job_name)
    with ended_on_cancel(systems, [watched]), holding(systems, attempt, "launch", inspection.launched_by):
        systems.ledger.check_held(attempt)
        launched = make_job(systems, planned)
        watched.is_made = True
        # Between this step and the next one no code of ours runs that could end the Job or say that it goes on.
        systems.log(
            f"if the run ends before it follows Job {launched.job_name}, the next run on these days ends the Job"
        )
        return launched


def make_job(systems: Systems, planned: Launch) -> Launched:
    started = time.monotonic()
    handle = systems.launcher.ensure(planned)
    log = systems.launcher.where(handle.name)
    systems.log(f"{'adopted' if handle.adopted else 'launched'} Job {handle.name}; its log: {log}")
    return Launched(handle.name, handle.adopted, log, time.monotonic() - started)
