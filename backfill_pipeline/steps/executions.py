"""Which executions a Job has started: told by its log, known by their ids, or found by their input (trap K4)."""

from collections.abc import Iterator, Mapping, Sequence

from backfill_pipeline.clients.temporal import WorkflowState
from backfill_pipeline.domain.contracts import Execution, execution_from_line
from backfill_pipeline.domain.datasets import WorkflowKind
from backfill_pipeline.domain.plans import Attempt
from backfill_pipeline.steps.earlier import of_attempt, own_ids
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.steps.watched import Watched

VISIBLE_SECONDS = 10  # a workflow started a moment ago may not be listed yet


def job_log(systems: Systems, job_name: str) -> Iterator[str]:
    """Nothing where logs are not to be read."""
    return systems.launcher.log(job_name) if systems.reads_logs else iter(())


def learn_from_log(systems: Systems, watched: Watched) -> None:
    """A line may name anybody's execution, and whatever is followed is cancelled with the run: only the attempt's own."""
    found = [e for e in map(execution_from_line, job_log(systems, watched.job_name)) if e]
    _tell_others(systems, watched, [e for e in found if not _is_of(watched.part, e)])
    watched.profiles.update({e.workflow_id: e.profile for e in found if _is_of(watched.part, e)})


def learn_from_temporal(systems: Systems, watched: Watched, workflow: WorkflowKind) -> None:
    """The fall-back when log lines are missing; a failed Job may have started fewer, so it is bounded.

    The list lags behind, for longer than anybody can wait here: those of our own workers are asked by their ids.
    """
    end = systems.clock() + VISIBLE_SECONDS
    while True:
        watched.profiles.update(_there(systems, watched, workflow))
        found = of_attempt(systems, workflow, watched.part)
        watched.profiles.update({f.workflow_id: f.input.profile_id for f in found})
        if not watched.missing or systems.clock() > end:
            return
        systems.sleep(1)


def _there(systems: Systems, watched: Watched, workflow: WorkflowKind) -> Mapping[str, str]:
    ids = {i: p for i, p in own_ids(workflow, watched.part).items() if p in watched.missing}
    return {i: p for i, p in ids.items() if systems.temporal.status(i).state is not WorkflowState.UNKNOWN}


def _is_of(part: Attempt, named: Execution) -> bool:
    return (named.customer, named.cluster) == (part.customer, part.cluster) and named.profile in part.profiles


def _tell_others(systems: Systems, watched: Watched, others: Sequence[Execution]) -> None:
    if not others or watched.has_others:
        return
    watched.has_others, part = True, watched.part
    named = ", ".join(
        f"{e.workflow_id} (customer {e.customer}, profile {e.profile}, cluster {e.cluster})" for e in others[:5]
    )
    ours = f"customer {part.customer}, profiles {', '.join(part.profiles)}, cluster {part.cluster}"
    systems.log(
        f"WARNING: the log of Job {watched.job_name} names executions that are started for somebody else; they are ignored, "
        f"neither followed nor cancelled. This run's: {ours}. Named: {named}. "
        "Look at the CronJob's command and env, and who changed them"
    )
