"""The one form of failure: what happened, where, why, and what to do next."""

from enum import StrEnum


class Kind(StrEnum):
    """What a caller may do about a failure; drivers' errors leave a store as exactly one of these."""

    RETRY = "retry"  # the same call may succeed later: deadlock, lost connection, overload
    STOP = "stop"  # the same call will fail again: bad SQL, bad types, not permitted
    MISSING = "missing"  # a table, column, CronJob or workflow that should be there is not
    UNREACHABLE = "unreachable"  # nobody answers at the address
    REFUSED = "refused"  # a guard said no before anything was touched
    UNKNOWN = "unknown"  # no rule matches; never taken for any of the others


class PipelineError(Exception):
    """A failure that says what, where, why and the next step.

    Args:
        what: the harm in a sentence, without secrets.
        where: system and address, table, or customer and day.
        why: the cause as far as it is known (the driver's own message, shortened).
        next_step: what the reader should do now.
        kind: what a program may do about it.
        code: the source's own code (SQLSTATE, ClickHouse error number) if it has one.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str,
        why: str,
        next_step: str,
        kind: Kind = Kind.STOP,
        code: str | None = None,
    ) -> None:
        self.what, self.where, self.why, self.next_step = what, where, why, next_step
        self.kind, self.code = kind, code
        tag = f" [{code}]" if code else ""
        super().__init__(f"{what}{tag}. Where: {where}. Why: {why}. Next: {next_step}.")

    @property
    def may_pass(self) -> bool:
        """Whether asking again is worth it."""
        return self.kind in (Kind.RETRY, Kind.UNREACHABLE)


class Refused(PipelineError):
    """A guard said no before anything was touched."""

    def __init__(self, what: str, *, where: str, why: str, next_step: str) -> None:
        super().__init__(what, where=where, why=why, next_step=next_step, kind=Kind.REFUSED)
