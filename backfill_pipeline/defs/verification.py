"""Scheduled verification: a checks-only run per customer over the last days. It reads both sides and touches nothing."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeAlias

import dagster as dg

from backfill_pipeline.config import Config
from backfill_pipeline.defs.assets import Built
from backfill_pipeline.defs.partitions import range_tags
from backfill_pipeline.domain.windows import Window

UnresolvedJob: TypeAlias = Any  # Dagster does not export the type that define_asset_job returns
JOB = "verify"


def verification(config: Config, built: Built) -> tuple[UnresolvedJob, dg.ScheduleDefinition]:
    """The checks-only job, which takes its days by range tags, and its daily schedule."""
    days, checks = config.verification.days, _by_customer(built)
    job = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.checks(*built.checks),
        description="Checks only: reads both sides of a range of days and touches nothing.",
    )

    @dg.schedule(
        job=job,
        cron_schedule=config.verification.cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        name="verify_last_days",
        description=f"Verifies the last {config.verification.days} days of every asset.",
    )
    def verify_last_days(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        today = context.scheduled_execution_time.date()
        for (cluster, customer), keys in checks.items():
            start = max(today - timedelta(days=days), config.cluster(cluster).first_day)
            if start >= today:
                continue  # a cluster whose first partition is still to come
            yield dg.RunRequest(
                run_key=f"{cluster}/{customer}:{context.scheduled_execution_time.isoformat()}",
                asset_selection=[],
                asset_check_keys=keys,
                tags=range_tags(Window(start, today)),
            )

    return job, verify_last_days


def _by_customer(built: Built) -> Mapping[tuple[str, str], list[dg.AssetCheckKey]]:
    """(cluster, customer) -> checks of all its datasets. A run loads all definitions: more CPU than its checks take."""
    owners = {of.key: (of.cluster, of.customer) for of in built.ids}
    found: dict[tuple[str, str], list[dg.AssetCheckKey]] = {}
    for key in (k for d in built.checks for k in d.check_keys):
        found.setdefault(owners[key.asset_key], []).append(key)
    return found
