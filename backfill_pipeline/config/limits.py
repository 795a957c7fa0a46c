"""Bounds of a window, of waiting and of retrying; and the schedule that only verifies."""

import re
from datetime import timedelta

from pydantic import Field, field_validator

from backfill_pipeline.config.base import Days, Model, Real, Rows, Seconds, Share, Span, Whole
from backfill_pipeline.domain.retries import Policy


class Limits(Model):
    max_window_days: Days = 31
    max_rows_without_approval: Rows = Field(
        20_000_000, description="source rows of a window; above: tag `approved/rows`"
    )
    max_job_rows: Rows = Field(
        5_000_000, description="source rows of one Job; a window with more is cut: month, 10, 5, 1 days"
    )
    min_source_ratio: Share = Field(0.9, description="source ids below this share of the target's refuse")
    lease_seconds: Seconds = 60
    clock_skew_seconds: Real = Field(5, ge=0, le=3600)
    delete_deadline_seconds: Seconds = 3600
    job_deadline_seconds: Seconds = 6 * 3600
    follow_deadline_seconds: Seconds = 24 * 3600
    poll_seconds: Seconds = 1.0
    longest_conversation_hours: Real = Field(
        24, gt=0, le=24 * 366, description="labels look so far back for conversations that ended in a window"
    )
    slice_conversations: Whole = Field(
        20_000, ge=1, le=10_000_000, description="conversations read at once, with all that hangs on them"
    )
    slices_in_flight: Whole = Field(2, ge=1, le=8)
    retry_attempts: Whole = Field(5, ge=0, le=1000, description="automatic retries of a failed day")
    retry_delay_seconds: Span = Field(60, description="before the first retry; doubles with each")

    @property
    def retry_policy(self) -> Policy:
        return Policy(self.retry_attempts, timedelta(seconds=self.retry_delay_seconds))


class Verification(Model):
    """The schedule that verifies without touching anything."""

    cron: str = Field("0 6 * * *", pattern=r"^([\d*/,-]+ ){4}[\dA-Za-z*/,-]+$", description="five fields, in UTC")
    days: Days = Field(7, description="up to yesterday")

    @field_validator("cron")
    @classmethod
    def _is_a_time(cls, cron: str) -> str:
        fields = zip(cron.split(" "), (59, 23, 31, 12, 7), strict=True)
        above = [f"{n} (at most {most})" for field, most in fields for n in re.findall(r"\d+", field) if int(n) > most]
        if above:
            raise ValueError(f"no time of a day has {', '.join(above)}")
        return cron
