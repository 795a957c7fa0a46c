-- Rows of the target `score`: the scores of the scorecards that are loaded, on the day of their conversation.
-- OFFSET 0 keeps the planner to index probes, see plan.sql.
WITH members AS ({members})
SELECT
    scores.scorecard_id,
    scores.criterion_id,
    members.conversation_id,
    members.started_at AS conversation_start_time,
    scores.numeric_value,
    scores.ai_value,
    scores.text_value,
    scores.not_applicable,
    scores.weight
FROM members
CROSS JOIN LATERAL (
    SELECT scorecard_id
    FROM director.scorecards
    WHERE customer_id = {customer}
      AND profile_id = {profile}
      AND conversation_id = members.conversation_id
      AND scorecard_type IS NULL
    OFFSET 0
) AS scorecards
CROSS JOIN LATERAL (
    SELECT *
    FROM director.historic_scorecard_scores
    WHERE scorecard_id = scorecards.scorecard_id
    OFFSET 0
) AS scores
