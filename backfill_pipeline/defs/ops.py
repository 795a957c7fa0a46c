"""The steps as ops: typed input -> one call -> metadata -> typed record.

All but `launch` are made once per cluster and dataset; `launch` carries the customer's pool, and two ops of one name with
different pools are refused (dagster-facts, 13).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import NAMESPACE_OID, uuid5

import dagster as dg

from backfill_pipeline.clients.account import account
from backfill_pipeline.config import Cluster, Customer
from backfill_pipeline.defs import tags
from backfill_pipeline.defs.ended_runs import AGAIN_OF
from backfill_pipeline.defs.graph import READY
from backfill_pipeline.defs.health import in_tag
from backfill_pipeline.defs.materialize import publish
from backfill_pipeline.defs.partitions import run_window
from backfill_pipeline.defs.resources import Pipeline
from backfill_pipeline.defs.telling import tell_cause, telling
from backfill_pipeline.domain.datasets import Dataset
from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.guards import approvals
from backfill_pipeline.domain.naming import cluster_pool, customer_pool, dagster_name
from backfill_pipeline.domain.plans import Claim
from backfill_pipeline.domain.retries import Of, refuse_withdrawn
from backfill_pipeline.domain.texts import one_line
from backfill_pipeline.steps import delete, follow, inspect, launch, record
from backfill_pipeline.steps.records import Deletion, Followed, Inspection, Launched
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.stores.failed_days import failed_days_of

T = TypeVar("T")

FROM_FAILURE = (
    "A step was repeated alone (the run page's 'from failure'); that proves nothing, so no day was marked. "
    "Two right ways: on the backfill's page 're-execute from failure', or on the asset's page "
    "'materialize' with 'failed partitions' selected; both do the failed days with all steps"
)


@dataclass(frozen=True)
class AssetId:
    """Which asset a graph belongs to."""

    dataset: str
    cluster: str
    customer: str

    @property
    def key(self) -> dg.AssetKey:
        return dg.AssetKey([self.dataset, self.cluster, self.customer])

    @property
    def graph(self) -> str:
        return dagster_name(self.dataset, self.cluster, self.customer)


@dataclass(frozen=True)
class StepOps:
    """The ops that all customers of a cluster share for a dataset."""

    inspect: dg.OpDefinition
    delete: dg.OpDefinition
    follow: dg.OpDefinition
    record: dg.OpDefinition


def input_name(table: str) -> str:
    """The op's input for a source table, `app.chats` as `app_chats`."""
    return table.replace(".", "_")


def step_ops(cluster: Cluster, dataset: Dataset, upstream: Sequence[str], assets: Mapping[str, AssetId]) -> StepOps:
    """The shared ops of a cluster and dataset.

    Args:
        upstream: datasets whose same day comes first.
        assets: graph name -> asset, for all assets that share them.
    """
    pool, suffix = cluster_pool(cluster.name), dagster_name(dataset.name, cluster.name)

    @dg.op(
        name=f"inspect_{suffix}",
        pool=pool,
        ins={n: dg.In(dg.Nothing) for n in (READY, *map(input_name, dataset.sources), *upstream)},
        required_resource_keys={"pipeline"},
        description="Lease, counts of both sides, guards, marker and plan. Touches nothing.",
    )
    def inspect_op(context: dg.OpExecutionContext) -> Inspection:
        with telling(context, context.resources.pipeline.config):
            claim, asked = _claim(context, cluster, assets), context.run.tags
            _refuse_withdrawn(context, claim)
            context.instance.add_run_tags(context.run_id, {tags.ATTEMPT: claim.attempt_id})
        seen = _with_systems(
            context,
            cluster,
            lambda s: inspect.inspect(
                s, claim, launched_by=launched_by(asked), approved=approvals(asked), job_days=job_days_asked(asked)
            ),
            whole_window=True,
        )
        context.instance.add_run_tags(context.run_id, {tags.JOB_DAYS: str(seen.attempt.job_days)})
        return seen

    @dg.op(
        name=f"delete_{suffix}",
        required_resource_keys={"pipeline"},
        description="Waits until the cluster is well. One delete per table and shard, bounded by the marker; "
        "0 survivors are the proof.",
    )
    def delete_op(context: dg.OpExecutionContext, inspection: Inspection) -> Deletion:
        _of_this_run(context, inspection)
        return _with_systems(
            context, cluster, lambda s: delete.delete(s, inspection, in_tag(context)), whole_window=True
        )

    @dg.op(
        name=f"follow_{suffix}",
        required_resource_keys={"pipeline"},
        description="Polls the Job and its workflows until all have closed; progress is in this run's log.",
    )
    def follow_op(context: dg.OpExecutionContext, inspection: Inspection, launched: Launched) -> Followed:
        _of_this_run(context, inspection)
        reads_logs = context.run.tags.get(tags.SKIP_LOGS) != "true"
        return _with_systems(
            context, cluster, lambda s: follow.follow(replace(s, reads_logs=reads_logs), inspection, launched)
        )

    @dg.op(
        name=f"record_{suffix}",
        required_resource_keys={"pipeline"},
        description="Counts again, marks each good day, writes the audit row, fails with each bad day's reason.",
    )
    def record_op(
        context: dg.OpExecutionContext,
        inspection: Inspection,
        deletion: Deletion,
        launched: Launched,
        followed: Followed,
    ) -> None:
        _of_this_run(context, inspection)
        steps = (inspection, deletion, launched, followed)
        recorded = _with_systems(context, cluster, lambda s: record.record(s, *steps), whole_window=True)
        if why := record.why_bad(recorded.verification, followed):
            tell_cause(context, why)
        with telling(context, context.resources.pipeline.config):
            publish(context, _asset(context, assets).key, steps, recorded, cluster)

    return StepOps(inspect_op, delete_op, follow_op, record_op)


def launch_op(cluster: Cluster, customer: Customer) -> dg.OpDefinition:
    @dg.op(
        name=f"launch_{dagster_name(cluster.name, customer.id)}",
        pool=customer_pool(cluster.name, customer.id),
        required_resource_keys={"pipeline"},
        description="Makes the Job from the CronJob's template, or adopts the one that this attempt made.",
    )
    def op(context: dg.OpExecutionContext, inspection: Inspection, deletion: Deletion) -> Launched:
        _of_this_run(context, inspection)
        context.log.info(f"after the delete of {deletion.rows:,} rows")
        return _with_systems(context, cluster, lambda s: launch.launch(s, inspection))

    return op


def launched_by(run_tags: Mapping[str, str]) -> str:
    """Who launched the run. Open-source Dagster knows no users: only a tag, or the process's own account, can say it.

    A run that is executed again inherits the tags of the first, but not who launched it.
    """
    names = (tags.LAUNCHED_BY, "dagster/sensor_name", "dagster/schedule_name")
    told = next((name for n in names if (name := one_line(run_tags.get(n, "")))), None)
    unknown = f"unknown, through the UI or API of {account()}"
    return told if told and AGAIN_OF not in run_tags else unknown


def _claim(context: dg.OpExecutionContext, cluster: Cluster, assets: Mapping[str, AssetId]) -> Claim:
    asset, window = _asset(context, assets), run_window(context)
    identity = "\n".join([context.run_id, asset.graph, window.start.isoformat(), window.end.isoformat()])
    return Claim(
        attempt_id=str(uuid5(NAMESPACE_OID, identity)),
        run_id=context.run_id,
        cluster=cluster.name,
        customer=asset.customer,
        profiles=tuple(cluster.customer(asset.customer).profiles),
        dataset=asset.dataset,
        window=window,
        notes=notes_of(context.run.tags),
    )


def _refuse_withdrawn(context: dg.OpExecutionContext, claim: Claim) -> None:
    """A look of the sensor launches what it chose half a minute ago."""
    of, run_tags = Of(claim.cluster, claim.customer, claim.dataset), context.run.tags
    retry_of = None if AGAIN_OF in run_tags else run_tags.get(tags.RETRY_OF)
    if retry_of:
        known = failed_days_of(context.resources.pipeline.ledger, of, claim.window)
        refuse_withdrawn(known, claim.window.days, retry_of)


def notes_of(run_tags: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Who asked, why, and after how many retries, for whoever finds the Job on the cluster."""
    given = {
        "launched-by": launched_by(run_tags),
        "why": one_line(run_tags.get(tags.WHY, "")),
        "retry": run_tags.get(tags.RETRY, "0"),
    }
    return tuple((name, text) for name, text in given.items() if text)


def job_days_asked(run_tags: Mapping[str, str]) -> int | None:
    """Days of one Job that the run's launcher wants.

    Raises:
        Refused: the tag is no number of days.
    """
    text = run_tags.get(tags.JOB_DAYS)
    if text is None:
        return None
    if not (re.fullmatch("[0-9]{1,3}", text) and 1 <= int(text) <= 366):
        raise Refused(
            "Not a number of days for one Job; nothing was touched",
            where=f"run tag {tags.JOB_DAYS}={text[:40]!r}",
            why="expected 1 to 366",
            next_step="launch with another value, or without the tag",
        )
    return int(text)


def _asset(context: dg.OpExecutionContext, assets: Mapping[str, AssetId]) -> AssetId:
    return assets[context.op_handle.path[0]]


def _of_this_run(context: dg.OpExecutionContext, inspection: Inspection) -> None:
    if inspection.attempt.run_id != context.run_id:
        raise dg.Failure(FROM_FAILURE, allow_retries=False)


def _with_systems(
    context: dg.OpExecutionContext, cluster: Cluster, call: Callable[[Systems], T], *, whole_window: bool = False
) -> T:
    pipeline: Pipeline = context.resources.pipeline
    with (
        telling(context, pipeline.config, whole_window=whole_window),
        pipeline.systems(cluster.name, context.log.info) as systems,
    ):
        return call(systems)
