"""Step 5: count again, judge each day, write the audit row, give the lease back."""

import time
from collections.abc import Mapping
from typing import Any

from backfill_pipeline.domain.failures import Diagnosis, diagnose
from backfill_pipeline.domain.rules.ours import DIFFERS
from backfill_pipeline.steps.holding import holding
from backfill_pipeline.steps.records import Deletion, Followed, Inspection, Launched, Recorded, Verification
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.steps.verify import find_doubled, verify


def record(
    systems: Systems, inspection: Inspection, deletion: Deletion, launched: Launched, followed: Followed
) -> Recorded:
    """A verdict for every day, from counts that are read now; the attempt is closed and its days are free again.

    A day whose rows the verdict does not find stays emptied: it was deleted, and nothing brought it back.

    Raises:
        PipelineError: a side can't be read: the window stays emptied.
    """
    started, attempt = time.monotonic(), inspection.attempt
    who = (attempt.dataset, attempt.customer, attempt.profiles, attempt.window)
    with holding(systems, attempt, "record", inspection.launched_by):
        verification = verify(systems, *who)
        doubled = find_doubled(systems, *who)
        outcome = "partly" if verification.bad or doubled else "done"
        proof = {**_proof(inspection, deletion, followed, verification), "doubled": [str(d) for d in doubled]}
        systems.ledger.check_held(attempt)
        audit_hash = systems.ledger.audit(attempt, outcome, inspection.launched_by, proof)
        systems.ledger.close(attempt, left_empty=verification.lost)
        systems.ledger.release(attempt.attempt_id, attempt.fence)
    return Recorded(verification, doubled, audit_hash, time.monotonic() - started)


def why_bad(verification: Verification, followed: Followed) -> Diagnosis | None:
    """The cause of days that are not right; None where all are."""
    return diagnose(followed.problems or (DIFFERS,)) if verification.bad else None


def _proof(
    inspection: Inspection, deletion: Deletion, followed: Followed, verification: Verification
) -> Mapping[str, Any]:
    why = why_bad(verification, followed)
    return {
        "approved": list(inspection.approved),
        "deleted": [vars(d) for d in deletion.deleted],
        "jobs": {str(p.window): p.job_name for p in followed.parts},
        "job_days": inspection.attempt.job_days,
        **({"cause": why.cause, "remedy": why.remedy} if why else {}),
        "executions": [vars(e) for e in followed.executions],
        "problems": list(followed.problems),
        "days": {str(d.day): {"verdict": d.verdict, "reasons": list(d.reasons)} for d in verification.days},
        "rows": {str(d.day): {t: s.rows for t, s in (d.target or {}).items()} for d in verification.days},
        "uncovered": {str(d.day): verification.coverage.uncovered(d.day) for d in verification.days},
        "seconds": {
            "inspect": inspection.seconds,
            "waited": deletion.waited,
            "delete": deletion.seconds,
            "follow": followed.seconds,
        },
    }
