"""Launching: one Dagster backfill per cluster, of exactly the days that were found free."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from backfill_pipeline.clients.dagster import DagsterClient
from backfill_pipeline.defs import tags
from backfill_pipeline.defs.assets import ready_key
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.guards import Approval, approving
from backfill_pipeline.domain.windows import Window, windows_of
from backfill_pipeline.operations.survey import Days, keys_of
from backfill_pipeline.report.amounts import counted


@dataclass(frozen=True)
class How:
    """by, why: stand on every run, in the audit and on the Jobs. job_days: days of one Job at most; None, the pipeline decides.

    approved: what a guard would refuse, and is meant. skip_logs: the Jobs' logs are not read.
    """

    by: str
    why: str | None = None
    job_days: int | None = None
    approved: frozenset[Approval] = frozenset()
    skip_logs: bool = False

    @property
    def run_tags(self) -> dict[str, str]:
        given = {
            tags.LAUNCHED_BY: self.by,
            tags.WHY: self.why,
            tags.JOB_DAYS: str(self.job_days) if self.job_days else None,
            tags.SKIP_LOGS: "true" if self.skip_logs else None,
        }
        return {name: value for name, value in given.items() if value} | approving(self.approved)


def launch(
    client: DagsterClient, days: Days, how: How, on_launched: Callable[[str, str], None] = lambda *_: None
) -> Mapping[str, str]:
    """Cluster -> the backfill that was launched for it.

    Args:
        on_launched: told of each cluster and its backfill at once.

    Raises:
        PipelineError: Dagster is away or refuses one; it says which were launched, which is not sure and which were not.
    """
    clusters = sorted({of.cluster for of in days})
    launched: dict[str, str] = {}
    for cluster in clusters:
        these = {of: d for of, d in days.items() if of.cluster == cluster}
        try:
            launched[cluster] = _launched(client, cluster, these, how.run_tags)
        except PipelineError as error:
            raise _half_done(error, clusters, launched) from error
        on_launched(cluster, launched[cluster])
    return launched


def _launched(client: DagsterClient, cluster: str, days: Days, run_tags: Mapping[str, str]) -> str:
    """With the gate, whose days are all of them: without it Dagster makes one run of all customers."""
    every = windows_of(d for those in days.values() for d in those)
    assets: dict[Sequence[str], Sequence[Window]] = {tuple(ready_key(cluster).path): every}
    assets |= {key: windows_of(days[of]) for key, of in keys_of(days).items()}
    title = f"{cluster}: {counted(len(days), 'asset')}, {every[0].days[0]} to {every[-1].days[-1]}"
    return client.launch_days(assets, title=title, tags=run_tags)


def _half_done(error: PipelineError, clusters: Sequence[str], launched: Mapping[str, str]) -> PipelineError:
    """A refusal is an answer; where none came, the backfill may be there all the same."""
    failed, *later = [c for c in clusters if c not in launched]
    is_sure = error.kind in (Kind.STOP, Kind.REFUSED)
    states = {
        "launched": ", ".join(f"{c} (backfill {b})" for c, b in launched.items()) or "none",
        "not sure": "" if is_sure else failed,
        "not launched": ", ".join([failed, *later] if is_sure else later),
    }
    return PipelineError(
        f"The launch on {failed} failed: {error.what}",
        where=error.where,
        why="; ".join([error.why, *(f"{state}: {those}" for state, those in states.items() if those)]),
        next_step=f"{error.next_step}; then repeat the launch: it leaves out what is at work by then",
        kind=Kind.UNKNOWN if launched and is_sure else error.kind,
        code=error.code,
    )
