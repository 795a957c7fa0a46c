"""The version that a try writes into every row: what outranks what, without a clock of our own."""

from datetime import datetime

from backfill_pipeline.domain.datasets import Dataset
from backfill_pipeline.domain.markers import row_version, truncated
from backfill_pipeline.domain.windows import parse_rfc3339
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.schemas import first_schemas


def version_of(dataset: Dataset, marker: str | None, attempt: int, clickhouse: ClickHouse) -> datetime:
    """`update_time` of all rows of this try: marker and try, or ClickHouse's clock where no marker was given."""
    main = dataset.main.table
    scale = first_schemas(clickhouse, [main])[main].version_scale or 0
    if marker is None:
        return truncated(clickhouse.now(), scale)
    return row_version(parse_rfc3339(marker), attempt, scale)
