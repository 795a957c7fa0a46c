-- Rows of the target `score` for some scorecards. Conversation and day are their scorecard's.
SELECT scorecard_id, criterion_id, numeric_value, ai_value, text_value, not_applicable, weight
FROM director.historic_scorecard_scores
WHERE scorecard_id = ANY ({keys})
