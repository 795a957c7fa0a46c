"""What no more is known of than a kind or a class of codes. Asked last."""

from backfill_pipeline.domain.causes import Cause, Remedy, Rule
from backfill_pipeline.domain.errors import Kind

KINDS: tuple[Rule, ...] = (
    Rule(
        Cause.MISSING,
        Remedy.BY_HAND,
        "make what is missing, or correct its name in the configuration",
        sqlstates=("3D000",),
        clickhouse=(81,),
        phrases=(r'FATAL: +database "[^"]+" does not exist', r"\bCreateContainer(?:Config)?Error \("),
        kinds=(Kind.MISSING,),
    ),
    Rule(
        Cause.FAILS_AGAIN,
        Remedy.BY_HAND,
        "read the message: the same call fails again",
        sqlstates=("22", "42"),
        clickhouse=(36, 62),
        kinds=(Kind.STOP,),
    ),
    Rule(
        Cause.PASSING,
        Remedy.AGAIN,
        "read the message; a rerun may pass",
        phrases=(r"\bthe worker was told to end; another one resumes",),
        kinds=(Kind.RETRY,),
    ),
)
