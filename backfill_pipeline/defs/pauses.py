"""A cluster on which nothing may start: its pool has no slot, whoever launches; the ledger says why."""

import dagster as dg

from backfill_pipeline.config import Config
from backfill_pipeline.stores.ledger import Ledger
from backfill_pipeline.stores.pauses import hold, release

BY_ITSELF = "the retry sensor"
IN_A_TICK_SECONDS = 5  # that somebody else's pause is waited for: all retries wait with it


def stop_cluster(instance: dg.DagsterInstance, ledger: Ledger, cluster: str, why: str) -> None:
    """What runs goes on; what waits keeps waiting until somebody resumes the cluster.

    The pool is first: who dies in between finds no pause, and stops the cluster again.
    """
    slots = instance.event_log_storage.set_concurrency_slots
    hold(slots, ledger, cluster, why=why, by_whom=BY_ITSELF, is_stopped=True, lock_seconds=IN_A_TICK_SECONDS)


def pause_jobs(config: Config) -> list[dg.JobDefinition]:
    """`backfill pause` and `backfill resume` for whoever works in the UI: Jobs, Launchpad."""
    limits = {c.name: c.max_runs for c in config.clusters}

    @dg.op(required_resource_keys={"pipeline"}, config_schema={"cluster": str, "why": str})
    def pause(context: dg.OpExecutionContext) -> None:
        cluster = config.cluster(context.op_config["cluster"]).name
        slots, ledger = context.instance.event_log_storage.set_concurrency_slots, context.resources.pipeline.ledger
        if other := hold(slots, ledger, cluster, why=context.op_config["why"], by_whom="an operator in the UI"):
            raise dg.Failure(f"{other}. It was so already and stays as it is: this reason is kept nowhere")

    @dg.op(required_resource_keys={"pipeline"}, config_schema={"cluster": str})
    def resume(context: dg.OpExecutionContext) -> None:
        cluster = config.cluster(context.op_config["cluster"]).name
        slots, ledger = context.instance.event_log_storage.set_concurrency_slots, context.resources.pipeline.ledger
        release(slots, ledger, cluster, limits[cluster])

    @dg.job(description="Nothing more starts on a cluster; what runs goes on. `backfill pause` does the same.")
    def pause_cluster() -> None:
        pause()

    @dg.job(description="Ends a pause, or a stop because most windows failed. `backfill resume` does the same.")
    def resume_cluster() -> None:
        resume()

    return [pause_cluster, resume_cluster]
