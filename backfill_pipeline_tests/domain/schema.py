"""The description of a table as a server gives it where it is as domain.md says."""

from backfill_pipeline.domain.datasets import Target
from backfill_pipeline.domain.schemas import TableSchema

TIME = "DateTime64(3, 'UTC')"


def schema_of(target: Target) -> TableSchema:
    texts = dict.fromkeys((*target.ids, *target.content), "String")
    return TableSchema(
        table=target.table,
        columns={**texts, target.day_column: TIME, target.version: "DateTime64(6, 'UTC')"},
        engine="ReplicatedReplacingMergeTree",
        sorting_key=", ".join(target.sort_keys[0]),
        version_column=target.version,
        version_scale=6,
        sharding_key="cityHash64(conversation_id)",
    )
