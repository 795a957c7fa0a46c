"""Step 2: delete what is older than the marker, on every shard, and prove that nothing of it is left."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from backfill_pipeline.domain.deletes import Delete
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.steps.health import Tell, wait_until_healthy
from backfill_pipeline.steps.holding import holding
from backfill_pipeline.steps.inspect import check_again
from backfill_pipeline.steps.records import DeletedTable, Deletion, Inspection
from backfill_pipeline.steps.systems import Systems
from backfill_pipeline.stores import mutations
from backfill_pipeline.stores.clickhouse import ShardStore

Work = list[tuple[ShardStore, Delete]]
LISTED_SECONDS = 10  # a delete that was being sent when the run was cancelled is listed by then, or never


def delete(systems: Systems, inspection: Inspection, tell: Tell = lambda _: None) -> Deletion:
    """One statement per table and shard for the whole window; from its submission to a verdict the window is emptied.

    Args:
        tell: gets a sentence while it waits for the cluster to be well, and another one when that is over.

    Raises:
        Refused: after such a wait a guard says no.
        PipelineError: the cluster stayed unwell, or the Job could not be made, and nothing was deleted; or a delete failed
            or is not done in time, with the mutation's id and how to kill it.
    """
    started = time.monotonic()
    attempt, shards = inspection.attempt, systems.clickhouse.shards
    work = [(s, d) for d in inspection.plan.deletes for s in shards]
    begun: Work = []
    with holding(systems, attempt, "delete", inspection.launched_by), _killed_on_cancel(systems, begun):
        is_first = not systems.ledger.is_delete_submitted(attempt)
        waited = _wait_before_the_first(systems, inspection, tell) if is_first else 0.0
        before = [mutations.survivors(s, d) for s, d in work]
        for shard, statement in work:
            mutations.ready(shard, statement, sleep=systems.sleep)
        if is_first:  # days that nobody could fill again are better left as they are
            systems.launcher.check(inspection.plan.launches[0])
        systems.ledger.check_held(attempt)
        systems.ledger.mark_delete_submitted(attempt)
        for shard, statement in work:
            begun.append((shard, statement))
            mutations.submit(shard, statement, method=systems.clickhouse.address.delete, sleep=systems.sleep)
        done = [_proved(systems, s, d, rows) for (s, d), rows in zip(work, before, strict=True)]
    return Deletion(tuple(done), time.monotonic() - started - waited, waited)


def _wait_before_the_first(systems: Systems, inspection: Inspection, tell: Tell) -> float:
    """Of a step that is repeated after its delete has begun the window is emptied, and no wait makes that shorter."""
    if waited := wait_until_healthy(systems, systems.log, tell):
        check_again(systems, inspection)
    return waited


def _proved(systems: Systems, shard: ShardStore, statement: Delete, rows: int) -> DeletedTable:
    mutation_id, inactive = mutations.wait(
        shard, statement, deadline_seconds=systems.limits.delete_deadline_seconds, sleep=systems.sleep
    )
    systems.log(f"deleted {rows:,} rows of {statement.table} on shard {shard.number}; 0 are left ({mutation_id})")
    return DeletedTable(shard.number, statement.table, mutation_id, rows, inactive)


@contextmanager
def _killed_on_cancel(systems: Systems, begun: Work) -> Iterator[None]:
    """A cancelled run asks for its mutations to be killed, or says which ones go on (trap D8).

    Args:
        begun: the deletes that may have reached their server, the last of them perhaps not yet.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException:
        for shard, statement in begun:
            _kill(systems, shard, statement)
        raise


def _kill(systems: Systems, shard: ShardStore, statement: Delete) -> None:
    try:
        if not _is_listed(systems, shard, statement):
            systems.log(f"cancelled: the delete of {statement.table} on {shard} may come later: it is not listed")
        elif mutations.kill(shard, statement):
            systems.log(f"cancelled: asked {shard} to kill the delete of {statement.table}")
    except PipelineError as error:
        systems.log(f"cancelled: the delete of {statement.table} on {shard} may go on: {error}")


def _is_listed(systems: Systems, shard: ShardStore, statement: Delete) -> bool:
    end = systems.clock() + LISTED_SECONDS
    while not mutations.find(shard, statement):
        if systems.clock() > end:
            return False
        systems.sleep(0.1)
    return True
