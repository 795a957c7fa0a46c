"""Reindexes scorecards that hang on no conversation, with their scores."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from backfill_pipeline.domain.contracts import ReindexInput
    from backfill_pipeline.worker.workflows.transferring import ReindexResult, transferred

TRANSFER = "transfer_process_scorecards"


@workflow.defn(name="ReindexProcessScorecards")
class ReindexProcessScorecards:
    """Reindexes the process scorecards of one profile whose time lies in a range."""

    @workflow.run
    async def run(self, request: ReindexInput) -> ReindexResult:
        return await transferred(TRANSFER, request)
