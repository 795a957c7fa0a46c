"""Reindexes conversations with their scorecards and scores."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from backfill_pipeline.domain.contracts import ReindexInput
    from backfill_pipeline.worker.workflows.transferring import ReindexResult, transferred

TRANSFER = "transfer_conversations"


@workflow.defn(name="ReindexConversations")
class ReindexConversations:
    """Reindexes the conversations of one profile that started in a range."""

    @workflow.run
    async def run(self, request: ReindexInput) -> ReindexResult:
        return await transferred(TRANSFER, request)
