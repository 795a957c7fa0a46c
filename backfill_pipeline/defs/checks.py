"""Asset checks per partition, selectable alone; both sides are read anew."""

from collections.abc import Callable, Iterable

import dagster as dg

from backfill_pipeline.config import Cluster
from backfill_pipeline.defs.evaluations import (
    COUNT_PARITY,
    DUPLICATES,
    Targets,
    duplicates_evaluation,
    newest_materializations,
    parity_evaluation,
)
from backfill_pipeline.defs.ops import AssetId
from backfill_pipeline.defs.partitions import run_window
from backfill_pipeline.defs.resources import Pipeline
from backfill_pipeline.domain.naming import cluster_pool
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.steps import verify
from backfill_pipeline.steps.systems import Systems

CHECKS = (COUNT_PARITY, DUPLICATES)
Evaluations = Iterable[dg.AssetCheckEvaluation]


def checks_of(asset: dg.AssetsDefinition, of: AssetId, cluster: Cluster) -> list[dg.AssetChecksDefinition]:
    """The checks of one customer's dataset."""
    profiles = cluster.customer(of.customer).profiles

    def parity(systems: Systems, window: Window, targets: Targets) -> Evaluations:
        found = verify.verify(systems, of.dataset, of.customer, profiles, window)
        return [parity_evaluation(of.key, d, found.uncovered, targets) for d in found.days]

    def duplicates(systems: Systems, window: Window, targets: Targets) -> Evaluations:
        doubled = verify.find_doubled(systems, of.dataset, of.customer, profiles, window)
        return [duplicates_evaluation(of.key, d, doubled, targets) for d in window.days]

    return [
        _check(asset, of, cluster, COUNT_PARITY, "Same rows with the same contents on both sides.", parity),
        _check(
            asset, of, cluster, DUPLICATES, "One row per id: after FINAL, over days, partitions, shards.", duplicates
        ),
    ]


def _check(
    asset: dg.AssetsDefinition,
    of: AssetId,
    cluster: Cluster,
    name: str,
    description: str,
    evaluate: Callable[[Systems, Window, Targets], Evaluations],
) -> dg.AssetChecksDefinition:
    spec = dg.AssetCheckSpec(name, asset=of.key, description=description, partitions_def=asset.partitions_def)

    # A check of its own, with one spec: `asset_check` would name the op itself, and alike for `acme-east` and `acme_east`.
    @dg.multi_asset_check(
        name=f"{name}_{of.graph}",
        specs=[spec],
        pool=cluster_pool(cluster.name),
        required_resource_keys={"pipeline"},
    )
    def check(context: dg.AssetCheckExecutionContext):  # type: ignore[no-untyped-def]
        window = run_window(context.op_execution_context)
        pipeline: Pipeline = context.op_execution_context.resources.pipeline
        targets = newest_materializations(context.op_execution_context.instance, of.key, map(str, window.days))
        with pipeline.systems(cluster.name, context.log.info) as systems:
            yield from evaluate(systems, window, targets)
        yield dg.Output(None, output_name=spec.get_python_identifier())

    return check
