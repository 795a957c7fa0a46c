-- Rows of `score`: the criteria of the scorecards above.
SELECT s.customer_id, s.profile_id, h.scorecard_id, h.criterion_id, '' AS conversation_id,
       s.scorecard_time AS conversation_start_time,
       h.numeric_value, h.ai_value, h.text_value, h.not_applicable, h.weight
FROM director.historic_scorecard_scores AS h
JOIN ({process_scorecards_members}) AS s USING (scorecard_id)
