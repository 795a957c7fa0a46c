"""Asset checks per partition, selectable alone; both sides are read anew."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import dagster as dg

from backfill_pipeline.config import Cluster
from backfill_pipeline.defs.evaluations import (
    Targets,
    coverage_evaluation,
    duplicates_evaluation,
    findings_evaluation,
    newest_materializations,
    parity_evaluation,
    quarantine_evaluation,
)
from backfill_pipeline.defs.ops import AssetId
from backfill_pipeline.defs.partitions import run_window
from backfill_pipeline.defs.resources import Pipeline
from backfill_pipeline.domain.datasets import DATASETS, Check
from backfill_pipeline.domain.naming import cluster_pool
from backfill_pipeline.domain.retries import Of, given_up
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.steps import verify
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.stores.failed_days import failed_days_of

Evaluations = Iterable[dg.AssetCheckEvaluation]
Evaluate = Callable[[AssetId, Sequence[str], Systems, Window, Targets], Evaluations]


def checks_of(asset: dg.AssetsDefinition, of: AssetId, cluster: Cluster) -> list[dg.AssetChecksDefinition]:
    """The checks of one customer's dataset, as its entry lists them."""
    return [_check(asset, of, cluster, check) for check in DATASETS[of.dataset].checks]


def _parity(of: AssetId, profiles: Sequence[str], systems: Systems, window: Window, targets: Targets) -> Evaluations:
    found = verify.verify(systems, of.dataset, of.customer, profiles, window)
    return [parity_evaluation(of.key, d, found.coverage.uncovered(d.day), targets) for d in found.days]


def _duplicates(
    of: AssetId, profiles: Sequence[str], systems: Systems, window: Window, targets: Targets
) -> Evaluations:
    doubled = verify.find_doubled(systems, of.dataset, of.customer, profiles, window)
    return [duplicates_evaluation(of.key, d, doubled, targets) for d in window.days]


def _coverage(of: AssetId, profiles: Sequence[str], systems: Systems, window: Window, targets: Targets) -> Evaluations:
    coverage = verify.find_coverage(systems, of.customer, profiles, window)
    return [coverage_evaluation(of.key, d, coverage, targets) for d in window.days]


def _one_to_one(
    of: AssetId, profiles: Sequence[str], systems: Systems, window: Window, targets: Targets
) -> Evaluations:
    found = verify.find_unpaired(systems, of.dataset, of.customer, profiles, window)
    return [findings_evaluation(of.key, Check.ONE_TO_ONE, d, found[d], targets) for d in window.days]


def _active_days(
    of: AssetId, profiles: Sequence[str], systems: Systems, window: Window, targets: Targets
) -> Evaluations:
    found = verify.find_active_days(systems, of.dataset, of.customer, profiles, window)
    return [findings_evaluation(of.key, Check.ACTIVE_DAYS, d, found[d], targets) for d in window.days]


def _quarantine(
    of: AssetId, profiles: Sequence[str], systems: Systems, window: Window, targets: Targets
) -> Evaluations:
    """A day that was done after it was given up is not given up, though the retry sensor may not know it yet."""
    known = failed_days_of(systems.ledger, Of(of.cluster, of.customer, of.dataset), window)
    policy = systems.limits.retry_policy
    for day in window.days:
        state, done = known.get(day), targets.get(str(day))
        is_over = state is None or (done is not None and done.timestamp > state.last.ended_at.timestamp())
        reason = None if state is None or is_over else given_up(state, policy)
        yield quarantine_evaluation(of.key, day, state, reason, targets)


EVALUATE: Mapping[Check, tuple[str, Evaluate]] = {
    Check.COUNT_PARITY: ("Same rows with the same contents on both sides.", _parity),
    Check.DUPLICATES: ("One row per id: after FINAL, over days, partitions, shards.", _duplicates),
    Check.TEMPLATE_COVERAGE: ("Every scorecard's template is handled by a configured dataset.", _coverage),
    Check.ONE_TO_ONE: ("Every ended conversation has one row, and every row its conversation, by id.", _one_to_one),
    Check.QUARANTINE: ("The day is not left to a person by the retry sensor.", _quarantine),
    Check.ACTIVE_DAYS: ("Every agent is active on the same days on both sides.", _active_days),
}


def _check(
    asset: dg.AssetsDefinition,
    of: AssetId,
    cluster: Cluster,
    name: Check,
) -> dg.AssetChecksDefinition:
    (description, evaluate), profiles = EVALUATE[name], cluster.customer(of.customer).profiles
    spec = dg.AssetCheckSpec(name.value, asset=of.key, description=description, partitions_def=asset.partitions_def)

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
            yield from evaluate(of, profiles, systems, window, targets)
        yield dg.Output(None, output_name=spec.get_python_identifier())

    return check
