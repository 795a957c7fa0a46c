"""Why a step failed, as tags of its run.

Its page shows them, lists of runs are filtered by them, the retry sensor acts on them.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import dagster as dg

from backfill_pipeline.config import Config, ConfigError
from backfill_pipeline.defs import tags
from backfill_pipeline.domain.causes import Cause, Remedy, around
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.domain.failures import Diagnosis, diagnose_error
from backfill_pipeline.domain.masking import mask

_NOT_OURS = "read the error on the run's page: it is none that was foreseen"


class Step(Protocol):
    """What is asked of Dagster's context of a step."""

    @property
    def run_id(self) -> str: ...
    @property
    def instance(self) -> dg.DagsterInstance: ...
    @property
    def log(self) -> Any: ...


@contextmanager
def telling(step: Step, config: Config, *, whole_window: bool = False) -> Iterator[None]:
    """Tell of whatever error ends the block. An interrupt is none, and a `dagster.Failure` says itself what it is.

    Args:
        config: whose secrets are masked.
        whole_window: the block takes all days of the window at once, however small its Jobs.
    """
    try:
        yield
    except dg.Failure:
        raise
    except PipelineError as error:
        tell_cause(step, diagnose_error(error), whole_window=whole_window)
        raise
    except Exception as error:
        tell_cause(step, _not_foreseen(error, config))
        raise


def tell_cause(step: Step, why: Diagnosis, *, whole_window: bool = False) -> None:
    """All that a run says of itself: a run that is executed again has inherited what the first one said."""
    step.log.error(str(why))
    said = {
        tags.CAUSE: str(why.cause),
        tags.REMEDY: str(why.remedy),
        tags.EVIDENCE: why.evidence,
        tags.WHOLE_WINDOW: str(whole_window).lower(),
        tags.DONE: "",
    }
    step.instance.add_run_tags(step.run_id, {tags.SAID_BY: step.run_id, **said})


def _not_foreseen(error: Exception, config: Config) -> Diagnosis:
    """Not by what it says: rules know the words of the systems, and this may quote anything."""
    text = mask(f"{type(error).__name__}: {error}", _secrets(config))
    return Diagnosis(Cause.UNKNOWN, Remedy.ONCE, around(text, 0), _NOT_OURS)


def _secrets(config: Config) -> Iterator[str]:
    addresses = [config.ledger, *(a for c in config.clusters for a in (c.postgres, c.clickhouse))]
    for find in [config.alerts.webhook, *(a.password for a in addresses if a)]:
        with suppress(ConfigError):
            if secret := find():
                yield secret
