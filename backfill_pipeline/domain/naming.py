"""Names of Jobs, workflows, ops, groups and pools: one pure, injective function each."""

import hashlib
import re
from datetime import UTC, datetime
from uuid import UUID, uuid5

from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.windows import Window

ID_FORM = r"[A-Za-z0-9._-]{1,63}"
_ESCAPES = {"_": "__", "-": "_h", ".": "_p"}
_SEPARATOR = "_x"  # no escape begins so: joined names can be taken apart again
_DNS_LABEL_LENGTH = 63
_DIGEST_LENGTH = 20
_EXECUTIONS = UUID("7a0f3c1e-54d5-5e0b-9f6e-0d0a4f6f1c11")  # namespace of execution ids; never change it


def check_id(text: str, what: str) -> str:
    """The id itself.

    Raises:
        Refused: it is not 1 to 63 of `[A-Za-z0-9._-]`.
    """
    if not re.fullmatch(ID_FORM, text) or not text.strip("."):  # `..` names a folder above
        raise Refused(
            f"Not a valid {what}",
            where=repr(text[:80]),
            why=f"ids are {ID_FORM}, not dots alone",
            next_step=f"correct the {what}",
        )
    return text


def dagster_name(*ids: str) -> str:
    """Ids as one name of `[A-Za-z0-9_]` (ops, groups, pools); different ids never give the same name."""
    return _SEPARATOR.join("".join(_ESCAPES.get(c, c) for c in check_id(i, "id")) for i in ids)


def cluster_pool(cluster: str) -> str:
    return f"clickhouse_{dagster_name(cluster)}"


def customer_pool(cluster: str, customer: str) -> str:
    return f"customer_{dagster_name(cluster, customer)}"


def job_name(dataset: str, cluster: str, customer: str, window: Window, attempt_id: str) -> str:
    """A Kubernetes Job's name: readable up to a point, unique by the digest of what identifies the launch."""
    identity = "\n".join([dataset, cluster, customer, window.start.isoformat(), window.end.isoformat(), attempt_id])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:_DIGEST_LENGTH]
    readable = re.sub(r"[^a-z0-9]+", "-", f"reindex-{customer}-{window.start}".lower())
    return f"{readable[: _DNS_LABEL_LENGTH - _DIGEST_LENGTH - 1].strip('-')}-{digest}"


def workflow_id(prefix: str, customer: str, profile: str, execution: UUID) -> str:
    """`{prefix}-{customer}-{profile}-{uuid}`. Opaque: ids may be prefixes of each other, so never parse it."""
    return f"{prefix}-{customer}-{profile}-{execution}"


def execution_uuid(attempt_id: str, workflow: str, customer: str, profile: str, start: datetime) -> UUID:
    """The same for the same attempt and range, so a repeated Job adopts its workflow and starts no second one.

    start: of the range; an attempt may cut its window into several, each with a Job and executions of its own.
    """
    return uuid5(_EXECUTIONS, "\n".join([attempt_id, workflow, customer, profile, start.astimezone(UTC).isoformat()]))
