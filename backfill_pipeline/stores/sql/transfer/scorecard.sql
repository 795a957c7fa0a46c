-- Rows of the target `scorecard`: all but appeals, on the day of their conversation.
-- OFFSET 0 keeps the planner to index probes, see plan.sql.
WITH members AS ({members})
SELECT
    scorecards.scorecard_id,
    members.conversation_id,
    members.started_at AS conversation_start_time,
    scorecards.template_id,
    scorecards.template_revision,
    scorecards.submission_source,
    scorecards.agent_user_id,
    scorecards.creator_user_id,
    scorecards.score,
    CASE WHEN scorecard_time >= {oldest} AND scorecard_time < {newest} THEN scorecard_time END AS scorecard_time,
    CASE WHEN submitted_at >= {oldest} AND submitted_at < {newest} THEN submitted_at END AS submitted_at
FROM members
CROSS JOIN LATERAL (
    SELECT *
    FROM director.scorecards
    WHERE customer_id = {customer}
      AND profile_id = {profile}
      AND conversation_id = members.conversation_id
      AND scorecard_type IS NULL
    OFFSET 0
) AS scorecards
