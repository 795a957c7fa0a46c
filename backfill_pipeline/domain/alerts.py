"""What somebody must hear of though nobody looks: days given up, windows left empty, clusters stopped. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from backfill_pipeline.domain.retries import DayState, Of, lift_command, redo_command
from backfill_pipeline.domain.windows import Window, windows_of


class Subject(StrEnum):
    QUARANTINE = "quarantine"
    EMPTIED = "emptied"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Alert:
    """key: of what it tells; the same thing is told once."""

    subject: Subject
    key: str
    text: str


def quarantine_alerts(given_up: list[tuple[DayState, str]]) -> tuple[Alert, ...]:
    """One per asset and reason, however many days.

    Args:
        given_up: days with the reason of each.
    """
    alike: dict[tuple[Of, str], list[DayState]] = {}
    for state, reason in given_up:
        alike.setdefault((state.last.of, reason), []).append(state)
    return tuple(_quarantine(of, reason, states) for (of, reason), states in alike.items())


def _quarantine(of: Of, reason: str, states: list[DayState]) -> Alert:
    days = ", ".join(map(str, windows_of(s.day for s in states)))
    last = states[0].last
    text = f"{of.dataset} of {of.customer} on {of.cluster}: {days} is left to a person: {reason}. Seen: {last.evidence}"
    key = f"{of.dataset}/{of.cluster}/{of.customer}:{days}:{last.run_id}"
    return Alert(Subject.QUARANTINE, key, f"{text}. Mend it, then: {lift_command(states)}")


def emptied_alert(of: Of, window: Window, attempt_id: str, *, is_held_up: bool = False) -> Alert:
    """is_held_up: it is retried by itself, once its cluster is resumed."""
    resume = f"backfill resume {of.cluster}, where nothing starts now; it is then retried"
    text = (
        f"{of.dataset} of {of.customer} on {of.cluster}: {window} was emptied, and nobody is at work on it. "
        f"Next: {resume if is_held_up else redo_command(of, window.days)}"
    )
    return Alert(Subject.EMPTIED, attempt_id, text)


def stopped_alert(cluster: str, why: str, since: datetime) -> Alert:
    text = f"Cluster {cluster} is stopped: {why}. Nothing starts there. Mend it, then: backfill resume {cluster}"
    return Alert(Subject.STOPPED, f"{cluster}:{since.isoformat()}", text)
