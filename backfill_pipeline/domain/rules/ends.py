"""Ends that any launcher or Temporal may tell of, and that say nothing of why it came to them."""

from backfill_pipeline.domain.causes import Cause, Remedy, Rule

ENDS: tuple[Rule, ...] = (
    Rule(
        Cause.DEADLINE,
        Remedy.SMALLER,
        "it was still at work, or had not begun, at its deadline",
        phrases=(
            r"\bDeadlineExceeded \(Job was\b",
            r"\bpod DeadlineExceeded(?:: |$|;)",
            r"\bTIMEOUT_TYPE_SCHEDULE_TO_CLOSE\b",
            r"\bits execution or run time-out was over\b",
            r"\bThe window was not over at its deadline\b",
            r"\bThe delete of \w+ is not done\b.*\. Why: not done within \d+ s\.",
        ),
    ),
    Rule(
        Cause.GONE,
        Remedy.AGAIN,
        "what became of it is not known, and a rerun is safe; ask who deletes Jobs or shortens their time to live",
        phrases=(
            r"\bJob \S+ gone: ",
            r"\bthe Job is not there: deleted, or its TTL was over",
            r"\bTemporal no longer has it\b",
        ),
    ),
    Rule(
        Cause.CANCELLED,
        Remedy.BY_HAND,
        "a person or another program ended it; ask who, then rerun",
        phrases=(
            r"\bworkflow \S+ (?:CANCELED|TERMINATED): ",
            r"\(type (?:canceled|terminated)\)",
        ),
    ),
    # After all that says more: who cancels is known from the run or the workflow, and a pod is sent the signal for much else.
    Rule(
        Cause.SIGTERM,
        Remedy.AGAIN,
        "the Job was told to end, and no cancel of ours did it; look who drains nodes or deletes pods",
        phrases=(
            r"\bEnded by SIGTERM(?:: the executions| between two inserts)",
            r"(?:\bJob \S+ failed: |\bcontainer \w+, )exit code 143\b",
        ),
    ),
)
