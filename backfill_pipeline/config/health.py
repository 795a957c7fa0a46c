"""When a run waits before its delete: what each system may reach, how often it is asked, for how long."""

from pydantic import Field

from backfill_pipeline.config.base import Count, Model, Seconds, Share, Span
from backfill_pipeline.domain.health import Signal, Thresholds


class HealthLimits(Model):
    """A run waits while a signal is above its threshold, or unknown; null: the signal is not judged."""

    postgres_waiting_locks: Count | None = Field(
        5,
        description="sessions that wait for over a second: a few are a busy moment, more a queue behind one lock",
    )
    postgres_replica_lag_seconds: Span | None = Field(
        300, description="a replica further behind may not have the last rows of yesterday yet"
    )
    postgres_connections_ratio: Share | None = Field(
        0.9, description="of max_connections; the load's slices and the applications need the rest"
    )
    clickhouse_parts_per_partition: Count | None = Field(
        300, description="older servers refuse inserts from 300 on, newer ones slow them down from 1,000 on"
    )
    clickhouse_running_mutations: Count | None = Field(
        20, description="on the targets of a server; other runs' deletes count too, one per table"
    )
    clickhouse_memory_ratio: Share | None = Field(
        0.9, description="of max_server_memory_usage; at 1 the server ends queries with code 241"
    )
    clickhouse_inactive_replicas: Count | None = Field(
        0, description="per shard; a replica that is away gets the delete later, when nobody verifies it"
    )
    ask_seconds: Seconds = Field(60, le=60, description="between two looks; the run's log has a line for each")
    deadline_seconds: Seconds = Field(3600, description="then the run fails with nothing deleted, and is retried")

    @property
    def thresholds(self) -> Thresholds:
        return {signal: getattr(self, signal) for signal in Signal}
