"""Failures as they reached us, word for word, with where each was recorded. Numbers in them are of that moment.

The tests beside the stores and clients provoke them anew and compare (`assert_diagnosed`), so that an upgrade that words
one differently fails there. What nothing on one machine can be made to say is from the system's own source, and says so.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from backfill_pipeline.clients.kubernetes.state import status_of
from backfill_pipeline.domain.causes import Cause
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.domain.failures import diagnose, diagnose_error
from backfill_pipeline_tests.domain.failure_texts_of_clickhouse import CLICKHOUSE
from backfill_pipeline_tests.domain.failure_texts_of_kubernetes import KUBERNETES
from backfill_pipeline_tests.domain.failure_texts_of_networks import NETWORKS
from backfill_pipeline_tests.domain.failure_texts_of_postgresql import POSTGRESQL
from backfill_pipeline_tests.domain.failure_trees import TREES

COMPARED = 300  # our errors cut what they quote, and where they do depends on the length of its numbers
# Entries begin at the margin with their cause's name; what is indented goes on.
TEXTS = {
    **POSTGRESQL,
    **NETWORKS,
    **CLICKHOUSE,
    **KUBERNETES,
    "Temporal server 1.29.1, temporalio 1.35.0": """
HEARTBEAT_TIMEOUT: workflow made-up-53ba2b07-c058-4354-9846-5b0f2049939c FAILED: Activity task timed out: activity
    Heartbeat timeout (type TIMEOUT_TYPE_HEARTBEAT)
START_TO_CLOSE_TIMEOUT: workflow made-up-5bc5c215-e61f-4d4e-9529-c28b574d8029 FAILED: Activity task timed out:
    activity StartToClose timeout (type TIMEOUT_TYPE_START_TO_CLOSE)
DEADLINE: workflow made-up-cccd91bd-7e8b-4242-9a31-f6f2fadddc2a FAILED: Activity task timed out: activity
    ScheduleToClose timeout (type TIMEOUT_TYPE_SCHEDULE_TO_CLOSE)
NO_WORKER: workflow made-up-5773447f-76e7-437a-b9a6-8cecc4853672 FAILED: Activity task timed out: activity
    ScheduleToStart timeout (type TIMEOUT_TYPE_SCHEDULE_TO_START)
DEADLOCK: workflow made-up-e089404f-6d3c-48dd-a048-2da0df2d7498 FAILED: Activity task failed: PostgreSQL failed:
    deadlock [40P01]. Where: postgresql://db.example:5432/app. Why: a long story. Next: try again. (type retry):
    PostgreSQL failed: deadlock [40P01]. Where: postgresql://db.example:5432/app. Why: a long story. Next: try again.
    (type PipelineError)
PASSING: workflow made-up-cb7c242b-71f9-455e-9cab-c1923ee19c8b FAILED: Activity task failed: It failed. Where: here.
    Why: nobody knows. Next: try again. (type retry): It failed. Where: here. Why: nobody knows. Next: try again.
    (type PipelineError)
FAILS_AGAIN: workflow made-up-84bce925-56c2-48a5-8f9c-ae017a25bf18 FAILED: Activity task failed: It failed. Where:
    here. Why: it always does. Next: read the message. (type stop): It failed. Where: here. Why: it always does. Next:
    read the message. (type PipelineError)
REFUSED: workflow made-up-5f710b09-95ac-47de-9ab3-ef753030f75d FAILED: Activity task failed: The range is empty.
    Where: here. Why: its end is its start. Next: name a day. (type refused): The range is empty. Where: here. Why:
    its end is its start. Next: name a day. (type Refused)
UNKNOWN: workflow made-up-5f9afb1a-ee21-4425-8f2a-3c0cd495049a FAILED: Activity task failed: the source is away
CANCELLED: workflow made-up-3f5c8c3c-cadb-4d77-b405-1cb449c93ff2 CANCELED: no reason given
CANCELLED: workflow made-up-28917887-6127-419c-a111-16b864b864bb TERMINATED: somebody pulled the plug
CANCELLED: workflow made-up-46c5f449-b70a-40b4-853c-20aa45dfb8b3 FAILED: Child Workflow execution cancelled: (type
    canceled)
CANCELLED: workflow made-up-ed264c04-00cf-4265-ab0a-47810fc25349 FAILED: Child Workflow execution terminated:
    Terminated (type terminated)
DEADLINE: workflow made-up-3f11d6fb-09df-45c7-b5c6-587cb5ce6f93 TIMED_OUT: its execution or run time-out was over; was
    a worker polling its queue?
GONE: workflow no-such-workflow UNKNOWN: Temporal no longer has it
UNREACHABLE: Temporal is away. Where: Temporal 127.0.0.1:9, namespace ingestion. Why: Failed client connect: Server
    connection error: tonic::transport::Error(Transport, ConnectError(ConnectError("tcp connect error", 127.0.0.1:9,
    Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }))). Next: check that it runs there and
    that the address is right, then rerun; the run continues.
UNREACHABLE: Temporal is away. Where: Temporal no-such-host.invalid:7233, namespace ingestion. Why: Failed client
    connect: Server connection error: tonic::transport::Error(Transport, ConnectError(ConnectError("dns error", Custom
    { kind: Uncategorized, error: "failed to lookup address information: Name or service not known" }))). Next: check
    that it runs there and that the address is right, then rerun; the run continues.
""",
    "the source of pgx and clickhouse-go, the drivers that a worker in Go has": """
DEADLOCK: activity error (type: Reindex): ERROR: deadlock detected (SQLSTATE 40P01)
SERIALIZATION: ERROR: could not serialize access due to concurrent update (SQLSTATE 40001)
RECOVERY_CONFLICT: ERROR: canceling statement due to conflict with recovery (SQLSTATE 40001)
TOO_MANY_CONNECTIONS: FATAL: sorry, too many clients already (SQLSTATE 53300)
NO_RESOURCE: ERROR: could not extend file "base/16384/24576": No space left on device (SQLSTATE 53100)
CLICKHOUSE_MEMORY: insert: code: 241, message: Memory limit (total) exceeded: would use 31.24 GiB
UNFINISHED_REPLICA: code: 341, message: Mutation is not finished because some replicas are inactive right now: r2
READ_ONLY: pq: cannot execute CREATE TABLE AS in a read-only transaction
MISSING: FATAL: terminating connection due to conflict with recovery (SQLSTATE 57P04)
CONNECTION_LOST: read tcp 10.0.0.7:41234->10.0.0.9:5432: read: connection reset by peer
UNREACHABLE: dial tcp 10.0.0.9:5432: connect: connection refused
UNREACHABLE: dial tcp 10.0.0.9:5432: connect: no route to host
UNREACHABLE: dial tcp: lookup db.example on 10.0.0.2:53: no such host
""",
    "the source of Temporal's server (its common/constants) and of its SDKs in Go and Python": """
HISTORY_LIMIT: workflow reindex-1 TERMINATED: Workflow history size exceeds limit.
HISTORY_LIMIT: workflow reindex-1 TERMINATED: Workflow history count exceeds limit.
HISTORY_LIMIT: workflow reindex-1 TERMINATED: Workflow mutable state size exceeds limit.
WORKER_BLOCKED: workflow reindex-1 FAILED: [TMPRL1101] Potential deadlock detected: workflow goroutine "root" didn't yield
    for over a second (type PanicError)
WORKER_BLOCKED: [TMPRL1101] Potential deadlock detected: workflow didn't yield within 2 second(s).
""",
    "our own words": """
REFUSED: workflow backfill-1 FAILED: Activity task failed: Fewer rows than deadlock detected rows (type refused)
HEARTBEAT_TIMEOUT: Activity task failed: nothing moved for 60 s; the next try resumes (type silent)
PASSING: Activity task failed: the worker was told to end; another one resumes from the cursor (type shutdown)
DEADLINE: The window was not over at its deadline. Where: acme. Why: Job running, open workflows: reindex-1. Next: they go
    on.
SUSPENDED: The window was not over at its deadline. Where: conversations of acme on north, 2026-01-01 (attempt a-1). Why:
    Job pending: JobSuspended (Job suspended), open workflows: none known. Next: they go on; a rerun ends them before it
    deletes. Use fewer days, or raise follow_deadline_seconds.
GONE: Job backfill-acme-1 gone: no folder /jobs/backfill-acme-1; its log ends:
SIGTERM: Job backfill-acme-1 failed: exit code 143; its log ends: Ended by SIGTERM: the executions logged above go on,
    the others were not started
SIGTERM: Job backfill-acme-1 failed: BackoffLimitExceeded (Job has reached the specified backoff limit); container Error,
    exit code 143; its log ends: Ended by SIGTERM between two inserts: what was logged is written, the rest is not
SIGTERM: Job backfill-acme-1 failed: exit code 143; its log ends: 2026-01-01 12,000 rows
OUT_OF_MEMORY: A read outgrew its memory [too_large]. Where: PostgreSQL. Why: its rows take more than 1000 bytes. Next:
    read a smaller range; the transfer does so by itself.
HELD: Another attempt holds the lease of these days. Where: conversations of acme on north: 2026-01-01. Why: run r-1
    (attempt a-1) holds it until 2026-01-01 00:01:00+00:00 unless it renews it. Next: wait for run r-1 or cancel it; if
    its process is gone the lease ends in 41 s.
HELD: A workflow of the same customer and range is open and not ours. Where: acme on north, 2026-01-01. Why: made-up-1
    [2026-01-01T00:00:00Z, 2026-01-02T00:00:00Z). Next: wait until it has closed, or cancel it in Temporal, then rerun.
UNWELL: Cluster north was not well enough for a delete in 3600 s; nothing was deleted. 1 reason. Where: PostgreSQL and
    ClickHouse of cluster north. Why: PostgreSQL 127.0.0.1:5432 has 7 sessions that wait for a lock [at most 5]. Next:
    mend what is named, or change the threshold that stands in brackets, then rerun the failed days.
DIFFERS: the Job and its workflows ended well, and both sides differ
""",
}


@dataclass(frozen=True)
class Recorded:
    cause: Cause
    text: str
    where: str


def _recorded() -> Iterator[Recorded]:
    for where, block in TEXTS.items():
        for entry in re.split(r"\n(?=\S)", block.strip()):
            name, text = entry.split(": ", 1)
            yield Recorded(Cause[name], " ".join(text.split()), where)
    for cause, (job, pods, events) in TREES:
        yield Recorded(
            cause, f"Job one ended: {status_of(job, pods, events).reason}", "trees as Kubernetes' source fills them"
        )


RECORDED = tuple(_recorded())


def plain(text: str) -> str:
    """Without what differs from one time to the next: ids and numbers."""
    without_ids = re.sub(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "#", " ".join(text.split()))
    return re.sub(r"\d+(?:\.\d+)*", "#", without_ids)[:COMPARED]


def assert_diagnosed(error: PipelineError, cause: Cause, *, as_text: Cause | None = None) -> None:
    """The error's cause, by its fields and by its words, which are those that were recorded.

    as_text: where its words alone say less than its kind.
    """
    assert diagnose_error(error).cause is cause, error
    assert_text_diagnosed(str(error), as_text or cause)


def assert_text_diagnosed(text: str, cause: Cause) -> None:
    assert diagnose([text]).cause is cause, text
    assert (cause, plain(text)) in {(r.cause, plain(r.text)) for r in RECORDED}, f"not recorded: {cause.name}: {text}"
