"""Bounds of a window, of waiting and of retrying; and the schedule that only verifies."""

import re
from datetime import timedelta

from pydantic import Field, field_validator

from backfill_pipeline.config.base import Model
from backfill_pipeline.domain.retries import Policy


class Limits(Model):
    max_window_days: int = Field(31, ge=1, le=366)
    max_rows_without_approval: int = Field(
        20_000_000, ge=1, description="source rows of a window; above: tag `approved/rows`"
    )
    max_job_rows: int = Field(
        5_000_000, ge=1, description="source rows of one Job; a window with more is cut: month, 10, 5, 1 days"
    )
    min_source_ratio: float = Field(0.9, ge=0, le=1, description="source ids below this share of the target's refuse")
    lease_seconds: float = Field(60, gt=0)
    clock_skew_seconds: float = Field(5, ge=0, le=3600)
    delete_deadline_seconds: float = Field(3600, gt=0)
    job_deadline_seconds: float = Field(6 * 3600, gt=0)
    follow_deadline_seconds: float = Field(24 * 3600, gt=0)
    poll_seconds: float = Field(1.0, gt=0)
    longest_conversation_hours: float = Field(
        24, gt=0, le=24 * 366, description="labels look so far back for conversations that ended in a window"
    )
    slice_conversations: int = Field(
        20_000, ge=1, description="conversations read at once, with all that hangs on them"
    )
    slices_in_flight: int = Field(2, ge=1, le=8)
    retry_attempts: int = Field(5, ge=0, description="automatic retries of a failed day")
    retry_delay_seconds: float = Field(60, ge=0, description="before the first retry; doubles with each")

    @property
    def retry_policy(self) -> Policy:
        return Policy(self.retry_attempts, timedelta(seconds=self.retry_delay_seconds))


class Verification(Model):
    """The schedule that verifies without touching anything."""

    cron: str = Field("0 6 * * *", pattern=r"^([\d*/,-]+ ){4}[\dA-Za-z*/,-]+$", description="five fields, in UTC")
    days: int = Field(7, ge=1, le=366, description="up to yesterday")

    @field_validator("cron")
    @classmethod
    def _is_a_time(cls, cron: str) -> str:
        fields = zip(cron.split(" "), (59, 23, 31, 12, 7), strict=True)
        above = [f"{n} (at most {most})" for field, most in fields for n in re.findall(r"\d+", field) if int(n) > most]
        if above:
            raise ValueError(f"no time of a day has {', '.join(above)}")
        return cron
