"""The asset factory: per cluster a gate and its source tables, per customer and dataset one daily asset."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dagster as dg

from backfill_pipeline.config import Cluster, Config, Customer
from backfill_pipeline.defs.checks import checks_of
from backfill_pipeline.defs.graph import READY, step_graph
from backfill_pipeline.defs.health import health_metadata
from backfill_pipeline.defs.ops import AssetId, StepOps, input_name, launch_op, step_ops
from backfill_pipeline.defs.partitions import own, plain
from backfill_pipeline.defs.resources import Pipeline
from backfill_pipeline.domain.datasets import DATASETS, Dataset
from backfill_pipeline.domain.naming import dagster_name

KINDS = {"clickhouse", "postgres", "temporal"}


@dataclass(frozen=True)
class Built:
    """assets: gates, sources and datasets; checks: of the datasets; ids: every dataset asset."""

    assets: tuple[dg.AssetsDefinition | dg.AssetSpec, ...]
    checks: tuple[dg.AssetChecksDefinition, ...]
    ids: tuple[AssetId, ...]


def build(config: Config) -> Built:
    """All assets and checks of a configuration."""
    assets: list[dg.AssetsDefinition | dg.AssetSpec] = []
    checks: list[dg.AssetChecksDefinition] = []
    ids: list[AssetId] = []
    for cluster in config.clusters:
        sources = list(_sources(config, cluster))
        assets += [_ready(cluster), *sources]
        for of, asset in _datasets(config, cluster):
            assets.append(asset)
            checks += checks_of(asset, of, cluster)
            ids.append(of)
    return Built(tuple(assets), tuple(checks), tuple(ids))


def ready_key(cluster: str) -> dg.AssetKey:
    return dg.AssetKey([READY, cluster])


def source_key(cluster: str, table: str) -> dg.AssetKey:
    return dg.AssetKey(["source", cluster, *table.split(".")])


def _sources(config: Config, cluster: Cluster) -> Iterator[dg.AssetSpec]:
    tables = sorted({t for d in config.datasets for t in DATASETS[d].sources})
    for table in tables:
        yield dg.AssetSpec(
            source_key(cluster.name, table),
            description=f"PostgreSQL table `{table}` of cluster {cluster.name}: the truth.",
            group_name=dagster_name(cluster.name),
            kinds={"postgres"},
        )


def _ready(cluster: Cluster) -> dg.AssetsDefinition:
    @dg.asset(
        key=ready_key(cluster.name),
        partitions_def=plain(cluster.first_day),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=dagster_name(cluster.name),
        description=f"Gate of cluster {cluster.name}: PostgreSQL, ClickHouse, Temporal and the ledger answer. "
        "Shows how well they are; a run waits for them before its own delete. "
        "Select it together with customers, and a backfill makes a run for each of them.",
        required_resource_keys={"pipeline"},
        kinds={"dagster"},
    )
    def ready(context: dg.AssetExecutionContext) -> None:
        pipeline: Pipeline = context.resources.pipeline
        with pipeline.systems(cluster.name, context.log.info) as systems:
            systems.temporal.check()
            for shard in systems.clickhouse.shards:
                shard.scalar("SELECT 1")
            with systems.postgres.snapshot() as connection:
                connection.execute("SELECT 1")
            emptied = [
                f"{e.dataset} of {e.customer}, {e.window}, since {e.since}"
                for e in systems.ledger.emptied()
                if e.cluster == cluster.name
            ]
            health = health_metadata(systems, context.log.warning)
        context.add_output_metadata({"emptied windows": dg.MetadataValue.json(emptied), **health})

    return ready


def _datasets(config: Config, cluster: Cluster) -> Iterator[tuple[AssetId, dg.AssetsDefinition]]:
    launches = {c.id: launch_op(cluster, c) for c in cluster.customers}
    for dataset in config.datasets:
        ids = {c.id: AssetId(dataset, cluster.name, c.id) for c in cluster.customers}
        upstream = [d for d in DATASETS[dataset].upstream if d in config.datasets]
        ops = step_ops(cluster, DATASETS[dataset], upstream, {of.graph: of for of in ids.values()})
        for customer in cluster.customers:
            of = ids[customer.id]
            yield of, _dataset(of, cluster, customer, ops, launches[customer.id], upstream)


def _dataset(
    of: AssetId,
    cluster: Cluster,
    customer: Customer,
    ops: StepOps,
    launch: dg.OpDefinition,
    upstream: Sequence[str],
) -> dg.AssetsDefinition:
    dataset = DATASETS[of.dataset]

    sources = {input_name(t): source_key(of.cluster, t) for t in dataset.sources}
    before = {d: AssetId(d, of.cluster, of.customer).key for d in upstream}
    asset = dg.AssetsDefinition.from_graph(
        step_graph(of.graph, [ops.inspect, ops.delete, launch, ops.follow, ops.record]),
        keys_by_input_name={READY: ready_key(of.cluster), **sources, **before},
        keys_by_output_name={"result": of.key},
        partitions_def=own(cluster.first_day, of.key),
        backfill_policy=dg.BackfillPolicy.multi_run(customer.window_days),
        group_name=dagster_name(cluster.name),
        owners_by_output_name={"result": [customer.owner]} if customer.owner else None,
        tags_by_output_name={"result": _tags(of)},
        descriptions_by_output_name={"result": _description(dataset, customer)},
    )
    kinds = KINDS if dataset.workflow else KINDS - {"temporal"}
    return asset.map_asset_specs(lambda spec: spec.merge_attributes(kinds=kinds))


def _tags(of: AssetId) -> dict[str, str]:
    return {"dataset": of.dataset, "cluster": of.cluster, "customer": of.customer}


def _description(dataset: Dataset, customer: Customer) -> str:
    return (
        f"{dataset.description}\n\n"
        f"A partition is a UTC day of customer `{customer.id}` (profiles {', '.join(customer.profiles)}): its "
        "ClickHouse rows were deleted, written again from PostgreSQL and proved equal. "
        f"A run does up to {customer.window_days} days: inspect, delete, launch, follow, record. "
        "Rerun failed days with 'failed partitions' here, or on the backfill's page."
    )
