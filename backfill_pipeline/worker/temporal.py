"""The cluster's Temporal, reached within a deadline."""

import asyncio
import time
from datetime import timedelta

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from backfill_pipeline.config import TemporalAddress
from backfill_pipeline.domain.errors import Kind, PipelineError

CONNECT_SECONDS = 30.0
RPC_TIMEOUT = timedelta(seconds=10)
_PAUSE_SECONDS = 0.5


async def connect(address: TemporalAddress, seconds: float = CONNECT_SECONDS) -> Client:
    """A client of the configured namespace; tried again until the deadline, as a start may overtake Temporal's own.

    Raises:
        PipelineError: UNREACHABLE, nobody answers there; MISSING, the namespace is not there.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            # Not `wait_for`: up to Python 3.11 it forgets a cancel that comes in the moment of an answer.
            async with asyncio.timeout(max(deadline - time.monotonic(), _PAUSE_SECONDS)):
                return await _connected(address)
        except (RuntimeError, RPCError, TimeoutError) as error:
            if time.monotonic() + _PAUSE_SECONDS > deadline:
                raise _not_reached(address, seconds, error) from None
        await asyncio.sleep(_PAUSE_SECONDS)


async def _connected(address: TemporalAddress) -> Client:
    client = await Client.connect(address.address, namespace=address.namespace)
    asked = DescribeNamespaceRequest(namespace=address.namespace)
    await client.workflow_service.describe_namespace(asked, timeout=RPC_TIMEOUT)
    return client


def _not_reached(address: TemporalAddress, seconds: float, error: Exception) -> PipelineError:
    missing = isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND
    return PipelineError(
        f"Temporal has no namespace {address.namespace}" if missing else "Temporal is away",
        where=f"Temporal {address}, namespace {address.namespace}",
        why=f"tried for {seconds:.0f} s: {' '.join(str(error).split())[:300] or type(error).__name__}",
        next_step="create the namespace" if missing else "start Temporal there, or correct `temporal.address`",
        kind=Kind.MISSING if missing else Kind.UNREACHABLE,
    )
