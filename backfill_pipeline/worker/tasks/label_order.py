"""What the environment of the cron task `label-conversations` asks for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from backfill_pipeline.domain import contracts
from backfill_pipeline.domain.naming import check_id
from backfill_pipeline.domain.windows import parse_duration, parse_rfc3339, rfc3339
from backfill_pipeline.worker.tasks.variables import read, refused

DEFAULT_RANGE = timedelta(hours=24)
DEFAULT_BATCH = timedelta(hours=24)


@dataclass(frozen=True)
class LabelOrder:
    """Ended conversations that began at `reach` or later and ended in `[start, end)`, a batch of time at once."""

    reach: datetime
    start: datetime
    end: datetime
    batch: timedelta
    customer: str | None  # None: all
    marker: str | None

    def batches(self) -> Iterator[tuple[datetime, datetime]]:
        """Consecutive parts of `[start, end)`; they tile it with neither gap nor overlap."""
        start = self.start
        while start < self.end:
            end = min(start + self.batch, self.end)
            yield start, end
            start = end


def is_enabled(env: Mapping[str, str]) -> bool:
    """Whether labelling is switched on; a switch that is missing or says neither is refused by name."""
    value = env.get(contracts.ENV_LABEL_ENABLED, "")
    if value not in ("true", "false"):
        raise refused(contracts.ENV_LABEL_ENABLED, value, "expected true or false")
    return value == "true"


def label_order_from(env: Mapping[str, str], now: datetime) -> LabelOrder:
    """The order that the environment gives.

    Raises:
        Refused: a time, duration or customer that can't be used, by the name of its variable.
    """
    end = read(env, contracts.ENV_LABEL_END, parse_rfc3339) or now
    reach = read(env, contracts.ENV_LABEL_START, parse_rfc3339) or end - DEFAULT_RANGE
    start = read(env, contracts.ENV_LABEL_END_FROM, parse_rfc3339) or reach
    for name, moment in ((contracts.ENV_LABEL_START, reach), (contracts.ENV_LABEL_END_FROM, start)):
        if not moment < end:
            raise refused(name, rfc3339(moment), f"it must come before {rfc3339(end)}, which is exclusive")
    marker = read(env, contracts.ENV_MARKER, parse_rfc3339)
    return LabelOrder(
        reach=reach,
        start=start,
        end=end,
        batch=read(env, contracts.ENV_LABEL_BATCH_SIZE, parse_duration) or DEFAULT_BATCH,
        customer=_customer(env),
        marker=rfc3339(marker) if marker else None,
    )


def _customer(env: Mapping[str, str]) -> str | None:
    """None only where the variable is not set: an empty one must not turn into everybody."""
    given = env.get(contracts.ENV_LABEL_CUSTOMER)
    return None if given is None else check_id(given, contracts.ENV_LABEL_CUSTOMER)
