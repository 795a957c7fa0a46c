"""What our own errors and verdicts say."""

from backfill_pipeline.domain.causes import Cause, Remedy, Rule
from backfill_pipeline.domain.errors import Kind

# In an error's first sentence; what it quotes further on is not why it was raised.
OURS: tuple[Rule, ...] = (
    Rule(
        Cause.HELD,
        Remedy.WAIT,
        "another run or workflow is at work on these days; it is asked again when that is over",
        phrases=(
            r"Another attempt holds the lease of these days",
            r"A workflow of the same customer and range is open and not ours",
        ),
    ),
    Rule(
        Cause.UNWELL,
        Remedy.WAIT,
        "look at the signals that it names; the thresholds are `health:` of the configuration",
        phrases=(r"Cluster \S+ was not well enough for a delete in \d+ s; nothing was deleted",),
    ),
)

DIFFERS = "the Job and its workflows ended well, and both sides differ"
# A guard quotes what it saw, which is not why it refused.
VERDICTS: tuple[Rule, ...] = (
    Rule(
        Cause.DIFFERS,
        Remedy.AGAIN,
        "the source changed while it was read, or the transfer lost or doubled rows; the checks name them",
        phrases=(rf"^{DIFFERS}",),
    ),
    Rule(Cause.REFUSED, Remedy.BY_HAND, "read which guard refused, and why", kinds=(Kind.REFUSED,)),
)
