-- Rows of the target `scorecard` that hang on no conversation: their day is that of their own time.
SELECT
    scorecard_id,
    '' AS conversation_id,
    scorecard_time AS conversation_start_time,
    template_id,
    template_revision,
    submission_source,
    agent_user_id,
    creator_user_id,
    score,
    scorecard_time,
    CASE WHEN submitted_at >= {oldest} AND submitted_at < {newest} THEN submitted_at END AS submitted_at
{belongs}
