-- Rows of the target `score`: the scores of the scorecards that are loaded, on the day of their conversation.
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
JOIN director.scorecards AS scorecards
  ON scorecards.customer_id = {customer}
 AND scorecards.profile_id = {profile}
 AND scorecards.conversation_id = members.conversation_id
 AND scorecards.scorecard_type IS NULL
JOIN director.historic_scorecard_scores AS scores
  ON scores.scorecard_id = scorecards.scorecard_id
