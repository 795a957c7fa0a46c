"""The steps as ops: typed input -> one call -> metadata -> typed record.

All but `launch` are made once per cluster and dataset; `launch` carries the customer's pool, and two ops of one name with
different pools are refused (dagster-facts, 13).
"""

import getpass
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from uuid import NAMESPACE_OID, uuid5

import dagster as dg

from backfill_pipeline.config import Cluster, Customer
from backfill_pipeline.defs.graph import READY
from backfill_pipeline.defs.health import in_tag
from backfill_pipeline.defs.materialize import publish
from backfill_pipeline.defs.partitions import run_window
from backfill_pipeline.defs.resources import Pipeline
from backfill_pipeline.domain.datasets import Dataset
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.guards import approvals
from backfill_pipeline.domain.naming import cluster_pool, customer_pool, dagster_name
from backfill_pipeline.domain.plans import Claim
from backfill_pipeline.steps import delete, follow, inspect, launch, record
from backfill_pipeline.steps.records import Deletion, Followed, Inspection, Launched
from backfill_pipeline.steps.systems import Systems

T = TypeVar("T")

LAUNCHED_BY_TAG = "launched_by"
ATTEMPT_TAG = "backfill/attempt"
BY_HAND_TAG = "backfill/by_hand"
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
        claim = _claim(context, cluster, assets)
        context.instance.add_run_tags(context.run_id, {ATTEMPT_TAG: claim.attempt_id})
        by, approved = launched_by(context.run.tags), approvals(context.run.tags)
        with _left_to_a_person(context):
            return _with_systems(
                context, cluster, lambda s: inspect.inspect(s, claim, launched_by=by, approved=approved)
            )

    @dg.op(
        name=f"delete_{suffix}",
        required_resource_keys={"pipeline"},
        description="Waits until the cluster is well. One delete per table and shard, bounded by the marker; "
        "0 survivors are the proof.",
    )
    def delete_op(context: dg.OpExecutionContext, inspection: Inspection) -> Deletion:
        _of_this_run(context, inspection)
        return _with_systems(context, cluster, lambda s: delete.delete(s, inspection, in_tag(context)))

    @dg.op(
        name=f"follow_{suffix}",
        required_resource_keys={"pipeline"},
        description="Polls the Job and its workflows until all have closed; progress is in this run's log.",
    )
    def follow_op(context: dg.OpExecutionContext, inspection: Inspection, launched: Launched) -> Followed:
        _of_this_run(context, inspection)
        return _with_systems(context, cluster, lambda s: follow.follow(s, inspection, launched))

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
        recorded = _with_systems(context, cluster, lambda s: record.record(s, *steps))
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


def launched_by(tags: Mapping[str, str]) -> str:
    """Who launched the run. Open-source Dagster knows no users: only a tag, or the process's own account, can say it."""
    automatic = tags.get("dagster/sensor_name") or tags.get("dagster/schedule_name")
    return tags.get(LAUNCHED_BY_TAG) or automatic or f"unknown, through the UI or API of {getpass.getuser()}"


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
    )


@contextmanager
def _left_to_a_person(context: dg.OpExecutionContext) -> Iterator[None]:
    """What is missing, such as a table or a column, is missing the next time too: the retry sensor passes the run over."""
    try:
        yield
    except PipelineError as error:
        if error.kind is Kind.MISSING:
            context.instance.add_run_tags(context.run_id, {BY_HAND_TAG: error.kind.value})
        raise


def _asset(context: dg.OpExecutionContext, assets: Mapping[str, AssetId]) -> AssetId:
    return assets[context.op_handle.path[0]]


def _of_this_run(context: dg.OpExecutionContext, inspection: Inspection) -> None:
    if inspection.attempt.run_id != context.run_id:
        raise dg.Failure(FROM_FAILURE, allow_retries=False)


def _with_systems(context: dg.OpExecutionContext, cluster: Cluster, call: Callable[[Systems], T]) -> T:
    pipeline: Pipeline = context.resources.pipeline
    with pipeline.systems(cluster.name, context.log.info) as systems:
        return call(systems)
