"""Deletes in ClickHouse: ensured, found again by their marker, waited for with a deadline, proved by a count.

Traps D1-D6, D9, D12: a delete is looked up by its marker's literal and nothing else; an error is followed by a look-up,
not by a second statement; done means that every active replica says so, or that no survivor is left.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from backfill_pipeline.config import Replica
from backfill_pipeline.domain.deletes import Delete
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.stores.clickhouse import ShardStore

# So that a call returns before its delete is done, and leaves a mutation that can be found. A server before 24.4 returns from
# a lightweight one when it is done or when the client's patience is: the look-up then finds it like any other.
SETTINGS = {"mutations_sync": 0, "lightweight_deletes_sync": 0, "lightweight_delete_mode": "alter_update"}
ACCEPTED_ANYWAY = ("341", "159")  # UNFINISHED, TIMEOUT_EXCEEDED: submitted, goes on in the background (D5)
PROJECTION_FORBIDS = "344"
MAX_WAITING = 10  # mutations of a table that may wait before another is sent (D6)
STALLED_POLLS = 3  # in a row, failing without a part done (D4) or no longer listed, before it is given up

_FIND = """
SELECT mutation_id, is_done, is_killed, parts_to_do, latest_fail_reason FROM system.mutations
WHERE database = currentDatabase() AND table = {table:String}
AND position(command, {needle:String}) > 0 AND position(command, {owner:String}) > 0
ORDER BY create_time DESC LIMIT 1
"""
_WAITING = """
SELECT count() FROM system.mutations WHERE database = currentDatabase() AND table = {table:String}
AND NOT is_done AND NOT is_killed
"""


@dataclass(frozen=True)
class Mutation:
    """A mutation as one replica reports it."""

    mutation_id: str
    is_done: bool
    is_killed: bool
    parts_to_do: int
    fail_reason: str


def find(shard: ShardStore, delete: Delete, replica: Replica | None = None) -> Mutation | None:
    """The mutation whose text holds this delete's marker; None says only that the server does not list one."""
    at = {"table": delete.table, "needle": delete.needle, "owner": delete.owner}
    if replica is None:
        rows = shard.query(_FIND, at)
    else:
        with shard.translated(replica):
            rows = [tuple(r) for r in shard.replica_client(replica).query(_FIND, parameters=at).result_rows]
    return Mutation(rows[0][0], bool(rows[0][1]), bool(rows[0][2]), int(rows[0][3]), rows[0][4]) if rows else None


def survivors(shard: ShardStore, delete: Delete) -> int:
    """Rows that the delete must have removed and that are still there; a failed count raises and is never 0 (D9)."""
    return int(shard.scalar(_now(shard, delete).survivors))


def _now(shard: ShardStore, delete: Delete) -> Delete:
    return delete.at(shard.now()) if delete.future else delete


def ready(shard: ShardStore, delete: Delete, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Return when the delete may be sent, or was sent before: what can fail until then fails with nothing deleted.

    Raises:
        PipelineError: the server is away, does not tell of its mutations, or too many of them wait.
    """
    if not find(shard, delete):
        wait_for_room(shard, delete.table, sleep=sleep)


def submit(shard: ShardStore, delete: Delete, *, method: str, sleep: Callable[[float], None] = time.sleep) -> None:
    """Send the delete unless the server lists it already; an error is believed only if it is not listed then.

    Raises:
        PipelineError: the server refused it, or is away, or too many mutations wait.
    """
    if find(shard, delete):
        return
    wait_for_room(shard, delete.table, sleep=sleep)
    try:
        _send(shard, delete, method)
    except PipelineError as error:
        if error.code == PROJECTION_FORBIDS and method == "lightweight":
            _send(shard, delete, "alter")
        elif error.code not in ACCEPTED_ANYWAY and not find(shard, delete):
            raise


def _send(shard: ShardStore, delete: Delete, method: str) -> None:
    delete = _now(shard, delete)
    text = delete.text if method == "lightweight" else delete.alter
    with shard.translated():
        shard.client().command(text, settings=shard.known(SETTINGS))


def wait_for_room(
    shard: ShardStore, table: str, *, deadline_seconds: float = 600, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Return when fewer than MAX_WAITING mutations wait on the table; asks with a growing pause, capped at 30 s."""
    end, pause = time.monotonic() + deadline_seconds, 0.5
    while (waiting := int(shard.scalar(_WAITING, {"table": table}))) >= MAX_WAITING:
        if time.monotonic() > end:
            raise PipelineError(
                f"{waiting} mutations wait on {table}; none was added",
                where=f"ClickHouse {shard}",
                why=f"no room within {deadline_seconds:.0f} s",
                next_step=f"look at the rows of system.mutations with table = '{table}' that are not done, then rerun",
                kind=Kind.RETRY,
            )
        sleep(pause)
        pause = min(pause * 2, 30)


def wait(
    shard: ShardStore,
    delete: Delete,
    *,
    deadline_seconds: float,
    poll_seconds: float = 0.2,
    sleep: Callable[[float], None] = time.sleep,
    on_poll: Callable[[], None] = lambda: None,
) -> tuple[str | None, tuple[str, ...]]:
    """Wait until every active replica is done and no survivor is left.

    Returns:
        The mutation's id (None if the server no longer lists it) and the replicas that were not active.

    Raises:
        PipelineError: it can't succeed (with the KILL statement), was killed, or the deadline is over.
    """
    end, seen = time.monotonic() + deadline_seconds, _Seen()
    while True:
        states, inactive = _states(shard, delete)
        seen.look([m for m in states if m])
        if all(m is None or m.is_done for m in states) and survivors(shard, delete) == 0:
            return seen.mutation_id, inactive
        _raise_if_hopeless(shard, delete, seen)
        if time.monotonic() > end:
            raise _not_done(shard, delete, seen.mutation_id, f"not done within {deadline_seconds:.0f} s", Kind.RETRY)
        on_poll()
        sleep(poll_seconds)
        poll_seconds = min(poll_seconds * 1.5, 10)


@dataclass
class _Seen:
    """What consecutive polls have shown. stalled, vanished: polls in a row with a failure and no part done, or unlisted."""

    mutation_id: str | None = None
    known: list[Mutation] = field(default_factory=list)
    parts: int | None = None
    stalled: int = 0
    vanished: int = 0

    def look(self, known: list[Mutation]) -> None:
        parts = sum(m.parts_to_do for m in known)
        self.stalled = self.stalled + 1 if any(m.fail_reason for m in known) and parts == self.parts else 0
        self.vanished = self.vanished + 1 if self.mutation_id and not known else 0
        self.mutation_id = known[0].mutation_id if known else self.mutation_id
        self.known, self.parts = known, parts


def _states(shard: ShardStore, delete: Delete) -> tuple[list[Mutation | None], tuple[str, ...]]:
    """What each active replica says, and the names of the others; at least one must be active."""
    states: list[Mutation | None] = []
    inactive: list[str] = []
    last: PipelineError | None = None
    for replica in shard.replicas:
        try:
            states.append(find(shard, delete, replica))
        except PipelineError as error:
            if error.kind is not Kind.UNREACHABLE:
                raise
            inactive.append(str(replica))
            last = error
    if not states and last:
        raise last
    return states, tuple(inactive)


def _raise_if_hopeless(shard: ShardStore, delete: Delete, seen: _Seen) -> None:
    failing = next((m for m in seen.known if m.fail_reason), None)
    if failing and seen.stalled >= STALLED_POLLS:
        raise _not_done(shard, delete, failing.mutation_id, failing.fail_reason, Kind.STOP)
    if any(m.is_killed for m in seen.known):
        raise _not_done(shard, delete, seen.mutation_id, "it was killed", Kind.STOP)
    if seen.vanished >= STALLED_POLLS:  # a plain table's server forgets a killed one
        raise _not_done(shard, delete, seen.mutation_id, "it is listed no longer and rows are left: killed?", Kind.STOP)
    if seen.known and all(m.is_done for m in seen.known) and survivors(shard, delete):
        why = "done, but rows that it names are still there"
        raise _not_done(shard, delete, seen.mutation_id, why, Kind.STOP)


def _not_done(shard: ShardStore, delete: Delete, mutation_id: str | None, why: str, kind: Kind) -> PipelineError:
    kill = f"KILL MUTATION WHERE table = '{delete.table}' AND mutation_id = '{mutation_id}'"
    return PipelineError(
        f"The delete of {delete.table} is not done",
        where=f"ClickHouse {shard}, mutation {mutation_id}",
        why=why,
        next_step=f"mend the cause and rerun the window; to give the mutation up: {kill}",
        kind=kind,
    )


def kill(shard: ShardStore, delete: Delete) -> bool:
    """Ask the server to give the mutation up; True if there was one to kill (D8)."""
    found = find(shard, delete)
    if not found or found.is_done:
        return False
    with shard.translated():
        shard.client().command(
            "KILL MUTATION WHERE database = currentDatabase() AND table = {table:String} AND mutation_id = {id:String}",
            parameters={"table": delete.table, "id": found.mutation_id},
        )
    return True
