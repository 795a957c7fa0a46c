"""How well a cluster is, where an operator looks: the gate's metadata and log, and the tag of a run that waits."""

import dagster as dg

from backfill_pipeline.domain.health import MEANING, Health, said
from backfill_pipeline.steps.health import Tell, ask
from backfill_pipeline.steps.systems import Systems

WAITS_TAG = "backfill/waits"
_TAG_LENGTH = 250  # the run list shows no more in one line; the run's log has all of it


def health_metadata(systems: Systems, warn: Tell) -> dict[str, dg.MetadataValue]:
    """What the gate shows, asked once. Reasons to wait are no failure of it: every run waits for itself, before its own
    delete, and a gate that failed for a busy minute would fail the whole backfill with it.
    """
    health = ask(systems)
    for reason in health.reasons:
        warn(f"runs will wait before their deletes: {reason}")
    return {
        "health": dg.MetadataValue.md(health_table(health)),
        "reasons to wait": dg.MetadataValue.json(list(health.reasons)),
    }


def health_table(health: Health) -> str:
    """A markdown table of every reading with its threshold; unknown is said so, and is never 0."""
    head = "| signal | server | value | threshold |\n|---|---|--:|--:|"
    rows = (
        f"| {MEANING[r.signal]} (`{r.signal}`) | {r.server} | {said(r.value)} | "
        f"{'not judged' if most is None else said(most)} |"
        for r, most in health.judged
    )
    return "\n".join([head, *rows])


def in_tag(context: dg.OpExecutionContext) -> Tell:
    """Puts what a run waits for into its tag; Dagster takes no tag away again, so the next text replaces it."""

    def tell(text: str) -> None:
        context.instance.add_run_tags(context.run_id, {WAITS_TAG: text[:_TAG_LENGTH]})

    return tell
