"""Tags of runs: what they were asked to do, by whom, and how they failed. Their values are free text."""

LAUNCHED_BY = "launched_by"
WHY = "backfill/why"
ATTEMPT = "backfill/attempt"

RETRY = "backfill/retry"  # how many automatic retries led to the run
RETRY_OF = "backfill/retry_of"
JOB_DAYS = "backfill/job_days"  # days of one Job at most; set by whoever launches, and by the run once it has its plan
SKIP_LOGS = "backfill/skip_logs"  # `true`: the logs of its Jobs are not read, so workflows are found later

SAID_BY = "backfill/said_by"  # the run that wrote the five below: a run that is executed again inherits them
CAUSE = "backfill/cause"
REMEDY = "backfill/remedy"
EVIDENCE = "backfill/evidence"
WHOLE_WINDOW = "backfill/whole_window"  # `true`: what failed takes all its days at once, so smaller Jobs change nothing
DONE = "backfill/done"  # days that a failed run has done nevertheless, such as `2026-01-01..2026-01-03 2026-01-05`
