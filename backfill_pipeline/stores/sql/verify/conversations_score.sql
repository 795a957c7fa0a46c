-- Rows of `score`: the criteria of the scorecards above.
SELECT s.customer_id, s.profile_id, h.scorecard_id, h.criterion_id, s.conversation_id,
       c.started_at AS conversation_start_time,
       h.numeric_value, h.ai_value, h.text_value, h.not_applicable, h.weight
FROM director.historic_scorecard_scores AS h
JOIN director.scorecards AS s USING (scorecard_id)
JOIN ({conversations_members}) AS c USING (customer_id, profile_id, conversation_id)
WHERE s.scorecard_type IS NULL
