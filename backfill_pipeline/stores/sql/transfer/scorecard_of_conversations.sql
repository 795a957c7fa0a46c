-- Rows of the target `scorecard` for some conversations: all but appeals. Their day is their conversation's.
SELECT
    scorecard_id,
    conversation_id,
    template_id,
    template_revision,
    submission_source,
    agent_user_id,
    creator_user_id,
    score,
    CASE WHEN scorecard_time >= {oldest} AND scorecard_time < {newest} THEN scorecard_time END AS scorecard_time,
    CASE WHEN submitted_at >= {oldest} AND submitted_at < {newest} THEN submitted_at END AS submitted_at
FROM director.scorecards
WHERE customer_id = {customer}
  AND profile_id = {profile}
  AND conversation_id = ANY ({keys})
  AND scorecard_type IS NULL
