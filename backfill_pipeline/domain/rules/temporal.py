"""Temporal: how an activity ended, in the words of its server and of the workers."""

from backfill_pipeline.domain.causes import Cause, Remedy, Rule

TEMPORAL: tuple[Rule, ...] = (
    Rule(
        Cause.WORKER_BLOCKED,
        Remedy.AGAIN,
        "workflow code of a worker did not let go for a second or two: look at its processor time, and what it calls there",
        phrases=(r"\[TMPRL1101\] ",),
    ),
    Rule(
        Cause.HISTORY_LIMIT,
        Remedy.SMALLER,
        "Temporal ended it, as its history outgrew the server's limit; fewer days make fewer events",
        phrases=(r"\bTERMINATED: Workflow (?:history size|history count|mutable state size) exceeds limit\b",),
    ),
    Rule(
        Cause.HEARTBEAT_TIMEOUT,
        Remedy.SMALLER,
        "no row moved for that long: the worker died, hung or was overloaded",
        phrases=(
            r"\bactivity Heartbeat timeout\b",
            r"\bTIMEOUT_TYPE_HEARTBEAT\b",
            r"\bnothing moved for \S+ s; the next try",
        ),
    ),
    Rule(
        Cause.START_TO_CLOSE_TIMEOUT,
        Remedy.SMALLER,
        "the activity moved rows and was not done in its time",
        phrases=(r"\bactivity StartToClose timeout\b", r"\bTIMEOUT_TYPE_START_TO_CLOSE\b"),
    ),
    Rule(
        Cause.NO_WORKER,
        Remedy.WAIT,
        "no worker polled the queue in time; look whether workers run, and at which queue",
        phrases=(r"\bactivity ScheduleToStart timeout\b", r"\bTIMEOUT_TYPE_SCHEDULE_TO_START\b"),
    ),
)
