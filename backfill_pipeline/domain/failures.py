"""Why a window failed, and what to do about it, by the codes and texts that give a cause away (`domain/rules`).

A failure reaches us as one of our errors (`diagnose_error`) or as text (`diagnose`): a Temporal execution's chain of
messages, a Job's end. Workers that are not ours word theirs in their own way, so a cause is known by the codes and
phrases that the systems themselves use. What no rule knows is UNKNOWN, which is tried again but once.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from backfill_pipeline.domain.causes import Cause, Remedy, Rule, around
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.rules.clickhouse import CLICKHOUSE
from backfill_pipeline.domain.rules.ends import ENDS
from backfill_pipeline.domain.rules.kinds import KINDS
from backfill_pipeline.domain.rules.kubernetes import KUBERNETES
from backfill_pipeline.domain.rules.network import NETWORK
from backfill_pipeline.domain.rules.ours import OURS, VERDICTS
from backfill_pipeline.domain.rules.postgres import POSTGRESQL
from backfill_pipeline.domain.rules.temporal import TEMPORAL

# The first rule that fits decides, here and within each part: what names a thing exactly stands before what it may be
# part of, and why something failed before how its Job or workflow ended.
RULES: tuple[Rule, ...] = (
    *OURS,
    *VERDICTS,
    *POSTGRESQL,
    *CLICKHOUSE,
    *KUBERNETES,
    *TEMPORAL,
    *ENDS,
    *NETWORK,
    *KINDS,
)
_UNKNOWN = Rule(Cause.UNKNOWN, Remedy.ONCE, "read what was seen; add a rule to domain/rules")


@dataclass(frozen=True)
class Diagnosis:
    cause: Cause
    remedy: Remedy
    evidence: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.remedy}. {self.next_step}. Seen: {self.evidence}"


def diagnose(texts: Iterable[str]) -> Diagnosis:
    """The first rule that fits any of these texts; UNKNOWN with the first of them if none does."""
    given = [text for text in texts if text.strip()]
    found = ((rule, rule.found_in(text)) for rule in RULES for text in given)
    rule, evidence = next(((r, e) for r, e in found if e), (_UNKNOWN, None))
    return _diagnosis(rule, evidence or around((given or ["nothing was said"])[0], 0))


def diagnose_error(error: PipelineError) -> Diagnosis:
    """By its code, else by what it says, else by its kind, where nobody knows a better next step than the error itself."""
    ours = next((r for r in OURS if r.found_in(error.what)), None)
    if ours:
        return _diagnosis(ours, around(str(error), 0))
    if error.kind is not Kind.REFUSED:
        rule = next((r for r in RULES if r.is_of(error)), None)
        if rule:
            return _diagnosis(rule, around(str(error), 0))
        said = diagnose([str(error)])
        if said.cause is not Cause.UNKNOWN:
            return said
    rule = next((r for r in RULES if error.kind in r.kinds), _UNKNOWN)
    return Diagnosis(rule.cause, rule.remedy, around(str(error), 0), error.next_step)


def _diagnosis(rule: Rule, evidence: str) -> Diagnosis:
    return Diagnosis(rule.cause, rule.remedy, evidence, rule.next_step)
